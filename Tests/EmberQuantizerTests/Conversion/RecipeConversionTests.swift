import EmberFormat
import EmberQuantizer
import Foundation
import SystemPackage
import Testing

/// Conversions by recipe over a small checkpoint: their bytes, and what they leave behind.
struct RecipeConversionTests {
  private static let text = CalibrationRunTests.text

  private static func options(
    _ recipe: Recipe, _ calibration: CalibrationSource = .automatic, bits: Int = 4,
    saving: FilePath? = nil, threads: Int? = nil
  ) -> QuantizationOptions {
    QuantizationOptions(
      bits: bits, recipe: recipe, calibration: calibration, statisticsOutput: saving,
      threads: threads)
  }

  @discardableResult
  private static func convert(
    _ checkpoint: CalibrationCheckpoint,
    _ options: QuantizationOptions, isCancelled: () -> Bool = { false }
  ) throws -> Data {
    let output = checkpoint.file("model.q4")
    _ = try Converter(checkpoint: checkpoint.path, output: output, options: options)
      .run(isCancelled: isCancelled)
    return try Data(contentsOf: URL(filePath: output.string))
  }

  @Test("The same bytes every time, on any number of threads", arguments: Recipe.allCases)
  func deterministic(recipe: Recipe) throws {
    let checkpoint = try CalibrationCheckpoint()
    for bits in [4, 5, 6] {
      for source in [CalibrationSource.automatic, .text(Self.text)] {
        if recipe == .best, source == .automatic { continue }
        let files = try [1, 1, 2, 5].map {
          try Self.convert(checkpoint, Self.options(recipe, source, bits: bits, threads: $0))
        }
        #expect(Set(files).count == 1, "\(bits) bits")
      }
    }
    #expect(checkpoint.others == ["model.q4"])
  }

  @Test("Each recipe says something else about the same weights")
  func recipesDiffer() throws {
    let checkpoint = try CalibrationCheckpoint()
    let files = [
      try Self.convert(checkpoint, Self.options(.fast)),
      try Self.convert(checkpoint, Self.options(.balanced)),
      try Self.convert(checkpoint, Self.options(.balanced, .text(Self.text))),
      try Self.convert(checkpoint, Self.options(.best, .text(Self.text))),
    ]
    #expect(Set(files).count == 4)
  }

  @Test("Saved statistics give the bytes of the text", arguments: Recipe.allCases)
  func savedStatistics(recipe: Recipe) throws {
    let checkpoint = try CalibrationCheckpoint()
    let path = checkpoint.file("a.stats")
    let direct = try Self.convert(checkpoint, Self.options(recipe, .text(Self.text)))
    let saving = try Self.convert(checkpoint, Self.options(recipe, .text(Self.text), saving: path))
    #expect(saving == direct)
    #expect(try Self.convert(checkpoint, Self.options(recipe, .statistics([path]))) == direct)
    // A copy, as merging one file makes it, and one in the place of the original.
    let copy = checkpoint.file("b.stats")
    #expect(
      try Self.convert(checkpoint, Self.options(recipe, .statistics([path]), saving: copy))
        == direct)
    #expect(
      try Self.convert(checkpoint, Self.options(recipe, .statistics([copy]), saving: copy))
        == direct)
    #expect(checkpoint.others == ["a.stats", "b.stats", "model.q4"])
  }

  @Test("Statistics of two texts are added, and kept only where that is asked for")
  func severalStatistics() throws {
    let checkpoint = try CalibrationCheckpoint()
    let paths = ["a.stats", "b.stats"].map { checkpoint.file($0) }
    for (path, text) in zip(paths, [Self.text, "feedbaafacecaabbeefcadabdabdeac"]) {
      try Calibrator(checkpoint: checkpoint.path).run(text: text, saving: path)
    }
    let both = try Self.convert(checkpoint, Self.options(.best, .statistics(paths)))
    #expect(try Self.convert(checkpoint, Self.options(.best, .statistics([paths[0]]))) != both)
    #expect(checkpoint.others == ["a.stats", "b.stats", "model.q4"])
    let merged = checkpoint.file("c.stats")
    #expect(
      try Self.convert(checkpoint, Self.options(.best, .statistics(paths), saving: merged)) == both)
    #expect(try StatisticsFile(opening: merged).texts.count == 2)
  }

  @Test("Cancelled at any point, nothing is left and an old file stays")
  func cancelled() throws {
    let checkpoint = try CalibrationCheckpoint()
    let saved = checkpoint.file("a.stats")
    try Calibrator(checkpoint: checkpoint.path).run(text: Self.text, saving: saved)
    let (old, whole) = (Data("old".utf8), Self.options(.best, .statistics([saved, saved])))
    for options in [
      Self.options(.balanced), Self.options(.best, .text(Self.text)), whole,
      Self.options(.balanced, .text(Self.text), saving: checkpoint.file("b.stats")),
    ] {
      var asked = 0
      try Self.convert(checkpoint, options) {
        asked += 1
        return false
      }
      try #require(asked > 20)
      for point in 0..<asked {
        try old.write(to: URL(filePath: checkpoint.file("model.q4").string))
        try? FileManager.default.removeItem(atPath: checkpoint.file("b.stats").string)
        var calls = 0
        #expect(throws: (any Error).self) {
          try Self.convert(checkpoint, options) {
            calls += 1
            return calls > point
          }
        }
        let found = try Data(contentsOf: URL(filePath: checkpoint.file("model.q4").string))
        #expect(found == old)
        // Statistics that were complete before are worth keeping; nothing unfinished is.
        let others = checkpoint.others.filter { $0 != "b.stats" || options.statisticsOutput == nil }
        #expect(others == ["a.stats", "model.q4"])
      }
    }
  }

  @Test("Errors leave nothing either", arguments: [Recipe.balanced, .best])
  func errors(recipe: Recipe) throws {
    let checkpoint = try CalibrationCheckpoint()
    let path = checkpoint.file("a.stats")
    try Self.convert(checkpoint, Self.options(recipe, .text(Self.text), saving: path))
    try FileManager.default.removeItem(atPath: checkpoint.file("model.q4").string)
    // A byte of the last site's moments, which are read when the model is half written.
    var bytes = try Data(contentsOf: URL(filePath: path.string))
    bytes[bytes.count * 3 / 4] ^= 0x40
    try bytes.write(to: URL(filePath: path.string))
    #expect(throws: CalibrationError.self) {
      try Self.convert(checkpoint, Self.options(recipe, .statistics([path])))
    }
    #expect(throws: CalibrationError.self) {
      try Self.convert(
        checkpoint, Self.options(recipe, .statistics([path, path]), saving: checkpoint.file("b")))
    }
    #expect(checkpoint.others == ["a.stats"])
    // Weights that no half holds, found while calibrating.
    let large = try CalibrationCheckpoint(scale: 1e6)
    #expect(throws: QuantizerError.self) {
      try Self.convert(large, Self.options(recipe, .text(Self.text)))
    }
    #expect(large.others.isEmpty)
  }

  @Test("Weights beyond fp16 convert by default, uncalibrated, and that is said")
  func beyondHalves() throws {
    let checkpoint = try CalibrationCheckpoint(scale: 1e6)
    func converted(_ recipe: Recipe) throws -> ConversionSummary {
      try Converter(
        checkpoint: checkpoint.path, output: checkpoint.file("\(recipe.rawValue).q4"),
        options: Self.options(recipe)
      ).run()
    }
    let balanced = try converted(.balanced)
    #expect(balanced.warnings.count == 1 && balanced.warnings[0].contains("not calibrated"))
    #expect(try converted(.fast).warnings.isEmpty)
    let files = try ["balanced.q4", "fast.q4"].map {
      try Data(contentsOf: URL(filePath: checkpoint.file($0).string))
    }
    #expect(files[0] == files[1])
  }

  @Test("What a recipe cannot do without is refused before anything is written")
  func refusals() throws {
    let checkpoint = try CalibrationCheckpoint()
    let diagonal = checkpoint.file("diagonal.stats")
    try Calibrator(
      checkpoint: checkpoint.path, options: CalibrationOptions(detail: .diagonal)
    ).run(text: Self.text, saving: diagonal)
    #expect(throws: QuantizerError.self) { try Self.convert(checkpoint, Self.options(.best)) }
    #expect(throws: QuantizerError.self) {
      try Self.convert(checkpoint, Self.options(.balanced, saving: checkpoint.file("a.stats")))
    }
    #expect(throws: CalibrationError.differentDetail(expected: .full, found: .diagonal)) {
      try Self.convert(checkpoint, Self.options(.best, .statistics([diagonal])))
    }
    #expect(throws: CalibrationError.emptyText) {
      // The tokenizer puts a space before texts, but not before nothing.
      try Self.convert(checkpoint, Self.options(.best, .text("")))
    }
    for name in ["model.q4", "model.bin", "tokenizer.bin"] {
      #expect(throws: QuantizerError.self) {
        let options = Self.options(.best, .text(Self.text), saving: checkpoint.file(name))
        try Self.convert(checkpoint, options)
      }
    }
    #expect(checkpoint.others == ["diagonal.stats"])
    // The diagonal is all that the others need.
    try Self.convert(checkpoint, Self.options(.balanced, .statistics([diagonal])))
  }
}
