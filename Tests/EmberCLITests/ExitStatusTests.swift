import Ember
import Testing

// Swift Testing has an ExitStatus too.
private typealias ExitStatus = Ember.ExitStatus

@Suite("Exit status")
struct ExitStatusTests {
  @Test("is the same number for the same kind of failure, whichever module reports it")
  func kinds() {
    let cases: [(any Error, ExitStatus)] = [
      (FormatError.notFound("a"), .inputMissing),
      (CheckpointError.notFound(path: "a"), .inputMissing),
      (TokenizerError.unreadable(path: "a", reason: "b"), .inputMissing),
      (QuantizerError.tokenizerMissing(checkpoint: "a"), .inputMissing),
      (FormatError.truncated("a", expected: 2, found: 1), .invalidData),
      (CheckpointError.emptyFile(path: "a"), .invalidData),
      (ModelError.missingTensor(path: "a", name: "b"), .invalidData),
      (GenerationError.promptTooLong(tokens: 2, context: 1), .invalidData),
      (GenerationError.draftTokenizerDiffers(model: "a", draft: "b"), .invalidData),
      (EvaluationError.textTooShort(tokens: 0, minimum: 2), .invalidData),
      (LoadingError.vocabularyMismatch("a", tokens: 2, embeddingRows: 1), .invalidData),
      (FormatError.unsupportedVersion("a", found: 2), .unsupported),
      (CheckpointError.unsupportedFormat(path: "a", found: "b"), .unsupported),
      (LoadingError.tokenizer("a", .unsupportedVersion(found: 2, supported: 1)), .unsupported),
      (QuantizerError.outputIsInput(path: "a"), .cannotCreate),
      (FormatError.cannotWrite("a", operation: "b", .permissionDenied), .cannotCreate),
      (FormatError.cannotWrite("a", operation: "b", .ioError), .inputOutput),
      (FormatError.diskFull("a", .noSpace), .inputOutput),
      (ModelError.outOfMemory(bytes: 1, purpose: "a"), .outOfMemory),
      (SessionFileError.otherModel("a", saved: "b", current: "c"), .invalidData),
      (SessionFileError.unsupportedVersion("a", found: 2), .unsupported),
      (SessionFileError.file(.diskFull("a", .noSpace)), .inputOutput),
      (FormatError.notPackedFile("a", found: "b"), .invalidData),
      (ModelError.contextTooLong(requested: 2, maximum: 1), .usage),
      (EvaluationError.noBeginOfSequence, .usage),
      (QuantizerError.cancelled, .interrupted),
      (CancellationError(), .interrupted),
      (Unknown(), .internalError),
    ]
    for (error, expected) in cases {
      #expect(ExitStatus(for: error) == expected, "\(error)")
    }
  }

  private struct Unknown: Error {}
}
