import EmberQuantizer
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// The moments of both small models against those that transformers computes in single precision
/// (`tools/fixtures/make_calibration_moments.py`). The models are too large to ship.
@Suite(.enabled(if: TestData.hasShared, "needs the shared reference data"))
struct CalibrationReferenceTests {
  private struct Reference: Decodable {
    struct Site: Decodable {
      /// Σ x² of every column.
      let squares: [Double]
      /// max |x| of the first columns.
      let maxima: [Double]
      /// Row, column, Σ x[row] x[column].
      let pairs: [[Double]]
    }
    let text: String
    let tokens: Int
    let models: [String: [String: Site]]
  }

  @Test(arguments: ["novel-llama", "novel-gpt2"])
  func moments(model: String) throws {
    let reference = try JSONDecoder().decode(
      Reference.self,
      from: Data(contentsOf: URL(filePath: TestData.bundled("Tests/fixtures/calibration.json"))))
    let expected = try #require(reference.models[model])
    let text = try String(contentsOfFile: TestData.shared(reference.text), encoding: .utf8)
    // The reference is of the model as it is stored.
    var options = CalibrationOptions(maximumTokens: reference.tokens)
    options.foldsEmergentColumns = false
    let calibrator = Calibrator(
      checkpoint: FilePath(TestData.shared(model)), options: options)
    var seen = 0
    try calibrator.run(text: text) { site, moments in
      let expected = try #require(expected[site.name])
      seen += 1
      #expect(moments.tokenCount == reference.tokens)
      #expect(moments.columns == expected.squares.count)
      var worst = 0.0
      for (found, square) in zip(moments.squares, expected.squares) {
        worst = max(worst, abs(found - square) / square)
      }
      #expect(worst < 1e-3, "\(site): squares")
      worst = 0
      for (found, maximum) in zip(moments.maxima, expected.maxima) {
        worst = max(worst, abs(Double(found) - maximum) / maximum)
      }
      #expect(worst < 5e-3, "\(site): maxima")
      worst = 0
      for pair in expected.pairs {
        let (row, column) = (Int(pair[0]), Int(pair[1]))
        let scale = (expected.squares[row] * expected.squares[column]).squareRoot()
        worst = max(worst, abs(Double(moments.product(row, column)) - pair[2]) / scale)
      }
      #expect(worst < 1e-3, "\(site): products")
    }
    #expect(seen == expected.count && seen == 13)
  }
}
