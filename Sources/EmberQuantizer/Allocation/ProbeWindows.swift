import EmberModel
import EmberTokenizer

/// The tokens on which the sensitivity of matrices is measured.
enum ProbeWindows {
  /// As many windows of as many tokens. Divergences differ much between tokens, but every matrix is
  /// measured on the same ones, and it is matrices that are compared.
  static let count = 4
  static let length = 256

  /// Windows from evenly spaced places of a text; random tokens where there is none.
  ///
  /// - Throws: `CalibrationError.emptyText`, `ModelError.unknownToken`
  static func windows(
    of calibration: CalibrationSource, tokenizer: Tokenizer, source: Checkpoint
  ) throws -> [[Int32]] {
    let a = source.architecture
    let length = min(Self.length, a.contextLength)
    guard case .text(let text) = calibration else {
      return cut(
        Calibrator.randomTokens(count * length, vocabularySize: a.vocabularySize), length: length)
    }
    let ids = tokenizer.encode(text, addingBeginOfSequence: false, parsingSpecialTokens: false)
    if ids.isEmpty { throw CalibrationError.emptyText }
    if let bad = ids.first(where: { $0 < 0 || $0 >= a.vocabularySize }) {
      throw ModelError.unknownToken(id: bad, vocabularySize: a.vocabularySize)
    }
    return cut(ids, length: length)
  }

  private static func cut(_ ids: [Int32], length: Int) -> [[Int32]] {
    if ids.count <= count * length {
      return stride(from: 0, to: ids.count, by: length).map {
        Array(ids[$0..<min(ids.count, $0 + length)])
      }
    }
    return (0..<count).map { window in
      let start = (ids.count - length) * window / (count - 1)
      return Array(ids[start..<start + length])
    }
  }
}
