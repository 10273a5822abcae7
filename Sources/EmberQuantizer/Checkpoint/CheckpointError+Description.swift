import SystemPackage

extension CheckpointError: CustomStringConvertible {
  /// One line: what, where, expected, found, what to do.
  public var description: String {
    switch self {
    case .notFound(let path):
      "\(shown(path)): no such file or folder; check the path"
    case .noConfiguration(let folder):
      "\(shown(folder)): a folder without config.json; expected a Hugging Face folder"
        + " (config.json and model.safetensors or pytorch_model.bin) or the path of a .gguf file or"
        + " a llama2.c .bin file"
    case .noWeights(let folder):
      "\(shown(folder)): no weights; expected model.safetensors, pytorch_model.bin or"
        + " an .index.json of one of them beside config.json"
    case .unreadable(let path, let operation, let errno):
      "\(shown(path)): cannot \(operation): \(errno)"
    case .notAFile(let path):
      "\(shown(path)): expected a file, found a folder or a special file"
    case .emptyFile(let path):
      "\(shown(path)): the file is empty; fetch it again"
    case .wrongSize(let path, let expected, let found):
      "\(shown(path)): wrong size: its header calls for \(expected) bytes, found \(found) ("
        + (found < expected
          ? "\(expected - found) missing); the file is truncated, fetch it again"
          : "\(found - expected) too many); not a llama2.c file, or a damaged one")
    case .endedEarly(let path, let offset, let missing):
      "\(shown(path)): ended early: \(missing) bytes missing at offset \(offset);"
        + " the file changed while it was read"
    case .tooLarge(let path, let limit, let found):
      "\(shown(path)): expected at most \(limit) bytes, found \(found); not what its name says"
    case .implausibleHeader(let path, let field, let expected, let found):
      "\(shown(path)): not a llama2.c checkpoint, or a damaged one: header field \(field):"
        + " expected \(expected), found \(found)"
    case .damagedHeader(let path, let problem):
      "\(shown(path)): damaged safetensors header: \(shown(problem, limit: 200));"
        + " fetch the file again"
    case .damagedRecord(let path, let tensor, let problem):
      "\(shown(path)): damaged safetensors header: tensor '\(shown(tensor))':"
        + " \(shown(problem, limit: 200)); fetch the file again"
    case .damagedGGUF(let path, let problem):
      "\(shown(path)): damaged GGUF header: \(shown(problem, limit: 200)); fetch the file again"
    case .damagedTorch(let path, let problem):
      "\(shown(path)): damaged PyTorch checkpoint: \(shown(problem, limit: 200));"
        + " fetch the file again"
    case .damagedPickle(let path, let offset, let problem):
      "\(shown(path)): damaged pickle: at byte \(offset): \(shown(problem, limit: 200));"
        + " fetch the file again"
    case .refusedPickle(let path, let offset, let found):
      "\(shown(path)): refused pickle: at byte \(offset): \(shown(found, limit: 200)), which could"
        + " run code; nothing was run; expected a dictionary of tensors"
    case .damagedJSON(let path, let problem):
      "\(shown(path)): not valid JSON: \(shown(problem, limit: 200))"
    case .damagedIndex(let path, let problem):
      "\(shown(path)): damaged index of shards: \(shown(problem, limit: 200))"
    case .missingKey(let path, let key):
      "\(shown(path)): the key '\(key)' is missing"
    case .invalidValue(let path, let key, let expected, let found):
      "\(shown(path)): \(key): expected \(expected), found \(shown(found))"
    case .unsupportedFormat(let path, let found):
      "\(shown(path)): \(found) is not supported yet; supported: a Hugging Face folder with"
        + " config.json and model.safetensors or pytorch_model.bin (F64, F32, F16, BF16), a GGUF file"
        + " of version 2 or 3, a llama2.c .bin file of version 0, 1 or 2"
    case .unknownArchitecture(let path, let found, let known):
      "\(shown(path)): unknown architecture \(shown(found)); known: "
        + known.joined(separator: ", ")
    case .unsupportedSetting(let path, let key, let found, let supported):
      "\(shown(path)): \(key) = \(shown(found)) is not supported yet; supported: \(supported)"
    case .unsupportedType(let path, let tensor, let found):
      "\(shown(path)): tensor '\(shown(tensor))' has type \(shown(found)), which is not"
        + " supported yet; supported: F64, F32, F16, BF16, and in GGUF Q8_0, Q4_0, Q4_1, Q5_0, Q5_1,"
        + " Q4_K, Q5_K, Q6_K"
    case .missingTensor(let path, let tensor):
      "\(shown(path)): the tensor '\(shown(tensor))' is missing;"
        + " configuration and weights do not belong together, or the weights are incomplete"
    case .wrongShape(let path, let tensor, let expected, let found):
      "\(shown(path)): tensor '\(shown(tensor))' has the wrong shape: expected \(expected)"
        + " by the configuration, found \(found)"
    case .vocabularyMismatch(let path, let tensor, let vocabulary, let rows):
      "\(shown(path)): the vocabulary has \(vocabulary) tokens, but the table"
        + " '\(shown(tensor))' has \(rows) rows; config.json and weights do not belong together"
    case .notFinite(let path, let tensor, let stored, let row, let column, let value):
      "\(shown(path)): tensor '\(tensor)' (stored as '\(shown(stored))') holds \(value) at"
        + " row \(row), column \(column); expected finite weights: the checkpoint is damaged or its training diverged"
    }
  }
}

func shown(_ path: FilePath) -> String {
  // The end of a path tells more than its start.
  let text = shown(path.string, limit: .max)
  return text.count <= 400 ? text : "…" + text.suffix(400)
}

/// Text out of a file, fit for one line of a terminal: control characters are replaced (a name
/// could carry escape sequences), and what is too long is cut.
func shown(_ text: String, limit: Int = 80) -> String {
  var result = ""
  var count = 0
  for scalar in text.unicodeScalars {
    if count == limit { return result + "…" }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate:
      result.unicodeScalars.append("\u{FFFD}")
    default: result.unicodeScalars.append(scalar)
    }
    count += 1
  }
  return result
}
