import EmberFormat
import EmberKernels
import EmberModel

/// What a conversion takes of memory at most, told before it begins.
///
/// Its stages come one after another, so the largest counts: levelling emergent columns, collecting
/// statistics a layer at a time, measuring sensitivity with the whole model in half precision, and
/// encoding a block of rows at a time. Nothing here changes what is written: states of a calibration
/// go to a file where memory is short, and threads can be fewer; window lengths or blocks of rows
/// would change sums, and then the budget would change the file.
///
/// Peaks in MB, in brackets what is told here, on two cores (the program itself has 24): novel-llama
/// fast 39.7 (45), balanced 45 (54), balanced with a text 46 (59), best 47.7 (64), best with
/// statistics 42.9 (52), 5.5 bits by measuring 86.0 (93); novel-gpt2 fast 39.1 (45), best 51.8 (67);
/// 1.1 billion weights, fast 79.2 (90), of which 48 are the import of 32,000 tokens.
struct ConversionMemory {
  let source: Checkpoint
  let options: QuantizationOptions
  /// Bytes that the process has before it begins, and a reserve.
  let base: Int

  /// What a conversion takes beyond its buffers: code that was not run before, stacks of threads,
  /// sections while they are compressed.
  private static let reserveBytes = 4 << 20
  /// A token while its `tokenizer.json` is read, JSON and tables; the heap gives little of it back.
  /// Measured: 1,500 with 32,000 tokens, 1,750 with 4,096.
  private static let importedTokenBytes = 1_600

  init(_ source: Checkpoint, options: QuantizationOptions, resident: Int) {
    self.source = source
    self.options = options
    base = resident + Self.reserveBytes
  }

  /// The least that will do, hidden states in a file.
  var leastBytes: Int { bytes(states: 0) }

  /// Bytes of hidden states that may stay in memory.
  func statesInMemory(budget: Int) -> Int { min(64 << 20, max(0, budget - leastBytes)) }

  private func bytes(states: Int) -> Int {
    let stages = [
      folding, calibration.map { sum([$0, states]) } ?? 0, sensitivity ?? 0, encoding,
    ]
    return sum([base, textBytes, tokenizerBytes, stages.max() ?? 0])
  }

  /// - Throws: `QuantizerError.budgetTooSmall`
  func refuse(over budget: Int, checkpoint: String) throws(QuantizerError) {
    if leastBytes <= budget { return }
    var advice: [MemoryAdvice] = []
    func consider(_ option: String, _ change: (inout QuantizationOptions) -> Void) {
      var options = options
      change(&options)
      let other = ConversionMemory(
        source, options: options, resident: base - Self.reserveBytes)
      if other.leastBytes < leastBytes / 50 * 49 {
        advice.append(MemoryAdvice(option, needs: other.leastBytes))
      }
    }
    if options.targetBits != nil {
      consider("--bits 4 in place of --target-bits") { $0.targetBits = nil }
    }
    if options.recipe == .best { consider("--recipe balanced") { $0.recipe = .balanced } }
    if options.recipe != .fast {
      consider("--recipe fast") {
        $0.recipe = .fast
        $0.calibration = .automatic
      }
    }
    if threads > 1 { consider("--threads 1") { $0.threads = 1 } }
    throw .budgetTooSmall(
      checkpoint: checkpoint, needed: leastBytes, budget: budget, advice: advice)
  }

  private var architecture: Architecture { source.architecture }
  private var threads: Int { options.threads ?? ThreadCount.recommended }

  private var tokenizerBytes: Int {
    // A vocabulary is below 2^27: no overflow.
    let once = Self.importedTokenBytes * architecture.vocabularySize
    switch source.tokenizerSource {
    case .huggingFace, .sentinels, .other: return once
    case .marian: return 2 * once
    case .llama2c, .gguf, nil: return 0
    }
  }

  /// A text, its tokens, and what turns one into the other.
  private var textBytes: Int {
    if case .text(let text) = options.calibration {
      sum(Array(repeating: text.utf8.count, count: 8))
    } else {
      0
    }
  }

  // MARK: - Stages

  /// Rows as they were read, and a copy.
  private var folding: Int {
    options.usesBlocks && options.foldsEmergentColumns ? 2 * rowBytes + Self.stagingBytes : 0
  }

  /// A layer in half precision, the moments of its inputs, and the buffers of a window; nil where
  /// nothing is collected.
  private var calibration: Int? {
    let collects =
      switch options.calibration {
      case .text: true
      case .statistics: false
      case .automatic: options.recipe == .balanced
      }
    guard collects else { return nil }
    let detail: SecondMoments.Detail = options.recipe == .best ? .full : .diagonal
    var moments: [Int] = []
    var largest = 0
    for kind in CalibrationSite.Kind.ofLayer(in: architecture) {
      let columns = CalibrationSite(kind, layer: 0).columns(in: architecture)
      let bytes = MomentAccumulator.byteCount(columns: columns, detail: detail) ?? .max
      moments.append(bytes)
      largest = max(largest, bytes)
    }
    // The largest again in single precision while it is handed on.
    if detail == .full { moments.append(largest / 2) }
    // The diagonals of all sites stay.
    let kept = architecture.layerCount.multipliedReportingOverflow(
      by: 12 * (3 * architecture.width + architecture.feedForwardWidth))
    let length = min(architecture.contextLength, 512)
    return sum(
      moments + [
        largestLayerBytes, rowBytes, Self.stagingBytes,
        LayerRunner.byteCount(architecture: architecture, windowLength: length),
        kept.overflow ? .max : kept.partialValue,
      ])
  }

  /// nil where types are not chosen by measuring.
  private var sensitivity: Int? {
    guard options.targetBits != nil else { return nil }
    return sum([
      SensitivityProbe.byteCount(
        source, windows: ProbeWindows.count,
        length: min(ProbeWindows.length, architecture.contextLength)),
      LayerRunner.byteCount(
        architecture: architecture,
        windowLength: min(ProbeWindows.length, architecture.contextLength)
      ),
      encoding,
    ])
  }

  /// Rows, their encoders and their bytes; with feedback the factor of the inputs' moments while it
  /// is made: 8 · n² bytes for n inputs.
  private var encoding: Int {
    var largest = 0
    for tensor in source.tensors where tensor.rows > 1 {
      let rows = tensor.preferredRowCount
      let encoders = options.recipe == .best ? 17 : 1
      // Weights, codes, importance, trials, candidates: at most 40 bytes a column.
      let perThread = sum([40 * encoders * tensor.columns, 80 * tensor.columns])
      let layout = try? TensorLayout(type: .f16, rows: rows, columns: tensor.columns)
      largest = max(
        largest,
        sum([
          4 * rows * tensor.columns, layout?.byteCount ?? .max, threads * perThread,
          Self.stagingBytes,
        ]))
    }
    var feedback = 0
    if options.recipe == .best {
      let n =
        CalibrationSite.Kind.allCases.map {
          CalibrationSite($0, layer: 0).columns(in: architecture)
        }.max() ?? 0
      // Columns are below 2^27: their square, eight times, below 2^57.
      feedback = 8 * n * n + 512 * n * threads
    }
    return sum([largest, feedback, Self.writerBytes])
  }

  // MARK: - Parts

  /// Between file and conversion, twice for transposed weights.
  private static let stagingBytes = 2 << 20
  /// What the file's writer gathers.
  private static let writerBytes = 2 << 20

  /// Rows of the tensor that takes most at once, as floats.
  private var rowBytes: Int {
    source.tensors.map { 4 * $0.preferredRowCount * $0.columns }.max() ?? 0
  }

  private var largestLayerBytes: Int {
    var layers: [Substring: Int] = [:]
    for tensor in source.tensors where tensor.name.hasPrefix("layers.") {
      let layout = try? TensorLayout(type: .f16, rows: tensor.rows, columns: tensor.columns)
      layers[Converter.extentName(tensor.name), default: 0] += layout?.byteCount ?? 0
    }
    return layers.values.max() ?? 0
  }

  private func sum(_ parts: [Int]) -> Int {
    parts.reduce(0) { $0.addingReportingOverflow($1).overflow ? .max : $0 + $1 }
  }
}
