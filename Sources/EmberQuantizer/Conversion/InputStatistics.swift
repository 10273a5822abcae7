import EmberFormat
import EmberModel

/// Second moments of the inputs of a checkpoint's matrices, found by the matrix's name.
final class InputStatistics {
  private enum Store {
    case memory([CalibrationSite: SecondMoments])
    case file(StatisticsFile)
  }

  private let store: Store
  private let tiedHead: Bool
  /// What was asked for last: neighbouring matrices share their inputs, and a file's moments are
  /// large.
  private var importance: (site: CalibrationSite, columns: [Float]?)?
  private var feedback: (site: CalibrationSite, feedback: ErrorFeedback)?

  init(_ moments: [CalibrationSite: SecondMoments], tiedHead: Bool) {
    store = .memory(moments)
    self.tiedHead = tiedHead
  }

  init(_ file: StatisticsFile, tiedHead: Bool) {
    store = .file(file)
    self.tiedHead = tiedHead
  }

  /// How much an error in each input column of a tensor counts, E[x²] over its mean; nil where
  /// nothing is known, as of tables that are only read by rows.
  ///
  /// - Throws: `CalibrationError`
  func importance(ofTensor name: String) throws(CalibrationError) -> [Float]? {
    guard let site = CalibrationSite(ofTensor: name, tiedHead: tiedHead) else { return nil }
    if let importance, importance.site == site { return importance.columns }
    let columns = try moments(at: site).flatMap { Self.importance($0.squares) }
    importance = (site, columns)
    return columns
  }

  private static func importance(_ squares: [Double]) -> [Float]? {
    let mean = squares.reduce(0, +) / Double(squares.count)
    guard mean > 0, mean.isFinite else { return nil }
    return squares.map { Float(max($0 / mean, 1e-6)) }
  }

  /// What rounding a tensor's columns one after another needs; nil where only the diagonal is known.
  ///
  /// - Throws: `CalibrationError`
  func feedback(ofTensor name: String, threads: Int) throws -> ErrorFeedback? {
    guard let site = CalibrationSite(ofTensor: name, tiedHead: tiedHead) else { return nil }
    if let feedback, feedback.site == site { return feedback.feedback }
    feedback = nil  // before the next is made: each is as large as the square of the columns
    guard let moments = try moments(at: site), moments.detail == .full else { return nil }
    let made = try ErrorFeedback(moments: moments, threads: threads)
    feedback = (site, made)
    return made
  }

  private func moments(at site: CalibrationSite) throws(CalibrationError) -> SecondMoments? {
    switch store {
    case .memory(let moments): return moments[site]
    case .file(let file): return try file.moments(at: site)
    }
  }
}
