import Ember
import EmberTestSupport
import Foundation
import Synchronization

/// A fixture, converted; once per test run and precision.
struct ArchitectureModel: Sendable {
  let model: Model
  let warnings: [String]
  let reference: ArchitectureReference

  private static let folder = ProcessFolder("architectures")
  private static let cache = Mutex<[String: ArchitectureModel]>([:])

  static func converted(_ checkpoint: ArchitectureCheckpoint, bits: Int) throws -> Self {
    let key = "\(checkpoint.name)-\(bits)"
    return try cache.withLock { cache in
      if let known = cache[key] { return known }
      let result = try convert(checkpoint, named: key, options: QuantizationOptions(bits: bits))
      cache[key] = result
      return result
    }
  }

  /// Converts anew.
  ///
  /// - Parameter change: a key of the configuration and a value for it, as JSON.
  static func convert(
    _ checkpoint: ArchitectureCheckpoint, named name: String, options: QuantizationOptions,
    change: (key: String, value: String)? = nil
  ) throws -> Self {
    let reference = try ArchitectureReference(checkpoint)
    let source = folder.url.appending(path: "\(name)-checkpoint")
    try checkpoint.write(to: source, weights: reference.weights)
    defer { try? FileManager.default.removeItem(at: source) }
    if let change {
      let file = source.appending(path: "config.json")
      let parsed = try JSONSerialization.jsonObject(with: Data(contentsOf: file))
      var values = parsed as? [String: Any] ?? [:]
      values[change.key] = try JSONSerialization.jsonObject(
        with: Data(change.value.utf8), options: [.fragmentsAllowed])
      try JSONSerialization.data(withJSONObject: values).write(to: file)
    }
    let output = FilePath(folder.url.appending(path: name).path)
    var options = options
    // Powers of two change no logits, but the last bits of what the cache rounds.
    options.foldsEmergentColumns = false
    let summary = try Converter(
      checkpoint: FilePath(source.path), output: output, options: options
    ).run()
    return ArchitectureModel(
      model: try Model(opening: output), warnings: summary.warnings, reference: reference)
  }

  /// Logits after each token of a text, [tokens][vocabulary], given to the session in chunks.
  func rows(
    _ text: ArchitectureReference.Text, chunks: [Int], plan: MemoryPlan? = nil
  ) throws -> [[Float]] {
    let session =
      if let plan {
        try InferenceSession(model: model, plan: plan, threads: 2)
      } else {
        try InferenceSession(
          model: model, contextLength: text.context, threads: 2, chunkLength: text.length)
      }
    var rows: [[Float]] = []
    var turn = 0
    while rows.count < text.length {
      let end = min(rows.count + chunks[turn % chunks.count], text.length)
      try session.append(Array(reference.ids[rows.count..<end])) { rows.append(Array($1)) }
      turn += 1
    }
    return rows
  }

  /// A plan that keeps about this share of the matrices in memory and streams the rest.
  func streamingPlan(context: Int, share: Double) throws -> MemoryPlan {
    func plan(_ budget: Int, isForced: Bool) throws(ModelError) -> MemoryPlan {
      try MemoryPlan(
        model.inventory, model.architecture,
        MemoryRequest(
          budget: .bytes(budget), context: .positions(context), chunkLength: 64,
          isForced: isForced),
        resident: 0, name: "model")
    }
    let least = try plan(0, isForced: true)
    return try plan(
      least.totalBytes + Int(share * Double(model.inventory.matrixBytes)), isForced: true)
  }
}
