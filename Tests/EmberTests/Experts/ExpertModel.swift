import Ember
import EmberTestSupport
import Foundation
import Synchronization

/// A mixture of experts, converted once per test run and precision.
struct ExpertModel: Sendable {
  let model: Model
  let path: FilePath

  private static let folder = ProcessFolder("experts")
  private static let cache = Mutex<[String: ExpertModel]>([:])

  static func converted(
    _ checkpoint: ExpertCheckpoint, bits: Int, recipe: Recipe = .fast
  ) throws -> ExpertModel {
    try cache.withLock { cache in
      let key = "\(checkpoint.name) \(bits) \(recipe)"
      if let known = cache[key] { return known }
      let source = folder.url.appending(path: checkpoint.name)
      if !FileManager.default.fileExists(atPath: source.path) { try checkpoint.write(to: source) }
      let output = FilePath(folder.url.appending(path: "\(cache.count).ember").path)
      _ = try Converter(
        checkpoint: FilePath(source.path), output: output,
        options: QuantizationOptions(bits: bits, outliers: .percent(0), recipe: recipe)
      ).run()
      let made = ExpertModel(model: try Model(opening: output), path: output)
      cache[key] = made
      return made
    }
  }

  /// Of a text, the bits of the logits after some positions.
  static func bits(
    _ session: InferenceSession, _ ids: [Int32], lengths: [Int], at positions: [Int]
  ) throws -> [[UInt32]] {
    var rows: [[UInt32]] = []
    var start = 0
    var next = 0
    while start < ids.count {
      let end = min(ids.count, start + lengths[next % lengths.count])
      try session.append(Array(ids[start..<end])) { index, logits in
        if positions.contains(start + index) { rows.append(logits.map(\.bitPattern)) }
      }
      start = end
      next += 1
    }
    return rows
  }
}
