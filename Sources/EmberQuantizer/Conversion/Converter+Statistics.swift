import EmberFormat
import EmberKernels
import SystemPackage

extension Converter {
  /// Random tokens of the calibration that needs no text: columns differ in size by far more than
  /// so few leave uncertain.
  private static let randomTokens = 1024

  /// What the recipe wants to know of the matrices' inputs; nil where it wants nothing.
  func statistics(
    of source: Checkpoint, isCancelled: () -> Bool, progress: (ConversionProgress) -> Void
  ) throws -> InputStatistics? {
    let tied = source.architecture.tiedHead
    let calibrator = Calibrator(
      checkpoint: checkpoint,
      options: CalibrationOptions(
        detail: options.recipe == .best ? .full : .diagonal, tokenizer: options.tokenizer,
        threads: options.threads))
    func report(_ state: CalibrationProgress) {
      progress(
        ConversionProgress(
          done: state.done, total: state.total, tensor: state.stage, isCalibrating: true))
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
      } catch QuantizerError.weightTooLarge, CalibrationError.notFinite, CalibrationError.tooLarge {
        // What cannot be run in halves, or not here, can still be converted: by what the weights
        // themselves tell of their inputs.
        return nil
      }
      return InputStatistics(moments, tiedHead: tied)
    case .text(let text):
      let kept = options.statisticsOutput
      let path = kept ?? temporaryStatistics
      try calibrator.run(text: text, saving: path, isCancelled: isCancelled, progress: report)
      return InputStatistics(
        try opened(path, deleting: kept == nil, for: source), tiedHead: tied)
    case .statistics(let paths):
      if paths.count == 1, options.statisticsOutput == nil {
        return InputStatistics(
          try opened(paths[0], deleting: false, for: source), tiedHead: tied)
      }
      let kept = options.statisticsOutput
      let path = kept ?? temporaryStatistics
      try StatisticsFile.merge(paths, into: path, isCancelled: isCancelled)
      return InputStatistics(
        try opened(path, deleting: kept == nil, for: source), tiedHead: tied)
    }
  }

  /// Beside the output, where there is room for a file of that kind of size.
  private var temporaryStatistics: FilePath {
    FilePath(output.string + ".statistics." + String(UInt32.random(in: 0...UInt32.max), radix: 16))
  }

  /// A file that is to be deleted is so at once: what is open can still be read, and whatever ends
  /// this program, nothing stays behind.
  private func opened(
    _ path: FilePath, deleting: Bool, for source: Checkpoint
  ) throws -> StatisticsFile {
    defer { if deleting { try? SystemCall.unlink(path) } }
    let file = try StatisticsFile(opening: path)
    try file.model.requireSame(as: ModelFingerprint(source.architecture))
    if options.recipe == .best, file.detail == .diagonal {
      throw CalibrationError.differentDetail(expected: .full, found: .diagonal)
    }
    return file
  }
}
