import EmberFormat
import EmberKernels
import SystemPackage

extension Converter {
  /// Random tokens of the calibration that needs no text: columns differ in size by far more than
  /// so few leave uncertain.
  private static let randomTokens = 1024

  /// What the recipe wants to know of the matrices' inputs; nil where it wants nothing.
  func statistics(
    of source: Checkpoint, warnings: inout [String], memory: ConversionMemory, budget: Int?,
    isCancelled: () -> Bool, progress: (ConversionProgress) -> Void
  ) throws -> InputStatistics? {
    let tied = source.architecture.tiedHead
    var calibration = CalibrationOptions(
      detail: options.recipe == .best ? .full : .diagonal, tokenizer: options.tokenizer,
      threads: options.threads)
    calibration.foldsEmergentColumns = options.foldsEmergentColumns
    calibration.memoryLimit = budget
    if let budget { calibration.statesInMemory = memory.statesInMemory(budget: budget) }
    let calibrator = Calibrator(checkpoint: checkpoint, options: calibration)
    func report(_ state: CalibrationProgress) {
      progress(
        ConversionProgress(
          done: state.done, total: state.total, tensor: state.stage, isCalibrating: true))
    }
    if source.architecture.encoder != nil {
      if options.calibration != .automatic {
        throw CalibrationError.hasEncoder(checkpoint)
      }
      if options.recipe == .balanced,
        source.tensors.contains(where: { type(of: $0, in: source).isGrouped })
      {
        warnings.append(
          "an encoder–decoder is converted as recipe fast does it: balanced needs a calibration,"
            + " which there is for decoders only")
      }
      return nil
    }
    switch options.calibration {
    case .automatic:
      // Eight bits lose too little for importance to matter.
      guard options.recipe == .balanced,
        source.tensors.contains(where: { type(of: $0, in: source).isGrouped })
      else { return nil }
      var moments: [CalibrationSite: SecondMoments] = [:]
      do {
        try calibrator.run(
          randomTokens: Self.randomTokens, isCancelled: isCancelled, progress: report
        ) { moments[$0] = $1 }
      } catch let error where Self.isBeyondHalves(error) {
        // Blocks hold larger weights than the halves that calibration computes with; nobody asked
        // for it, so it must not stop what is possible without.
        warnings.append("not calibrated on random tokens, as recipe balanced would: \(error)")
        return nil
      }
      return InputStatistics(moments, tiedHead: tied)
    case .text(let text):
      let kept = options.statisticsOutput
      let path = kept ?? temporaryStatistics
      try calibrator.run(text: text, saving: path, isCancelled: isCancelled, progress: report)
      return InputStatistics(
        try opened(path, deleting: kept == nil, for: source, memoryLimit: budget), tiedHead: tied)
    case .statistics(let paths):
      if paths.count == 1, options.statisticsOutput == nil {
        return InputStatistics(
          try opened(paths[0], deleting: false, for: source, memoryLimit: budget), tiedHead: tied)
      }
      let kept = options.statisticsOutput
      let path = kept ?? temporaryStatistics
      // Before anything is written: what was saved for another model stays unsaved here.
      for path in paths { _ = try opened(path, deleting: false, for: source, memoryLimit: budget) }
      try StatisticsFile.merge(paths, into: path, isCancelled: isCancelled)
      return InputStatistics(
        try opened(path, deleting: kept == nil, for: source, memoryLimit: budget), tiedHead: tied)
    }
  }

  /// Whether computing in half precision failed on weights that blocks may well hold.
  private static func isBeyondHalves(_ error: any Error) -> Bool {
    if case QuantizerError.weightTooLarge = error { return true }
    if case CalibrationError.notFinite = error { return true }
    return false
  }

  /// Beside the output, where there is room for a file of that kind of size. Always the same name:
  /// what a killed run leaves of it, the next run for the same output removes.
  private var temporaryStatistics: FilePath {
    output.removingLastComponent().appending(
      ".\(output.lastComponent?.string ?? "model").statistics")
  }

  /// A file that is to be deleted is so at once: what is open can still be read, and whatever ends
  /// this program, nothing stays behind.
  private func opened(
    _ path: FilePath, deleting: Bool, for source: Checkpoint, memoryLimit: Int?
  ) throws -> StatisticsFile {
    defer { if deleting { try? SystemCall.unlink(path) } }
    let file = try StatisticsFile(opening: path, memoryLimit: memoryLimit)
    try file.model.requireSame(as: ModelFingerprint(source.architecture))
    if options.recipe == .best, file.detail == .diagonal {
      throw CalibrationError.differentDetail(expected: .full, found: .diagonal)
    }
    return file
  }
}
