import EmberFormat
import EmberKernels
import EmberModel
import EmberTokenizer

/// Types by measured sensitivity, for a file of a given size.
///
/// Every matrix in turn is replaced by its smallest encoding, and the KL divergence of what the model
/// then says from what it says in fp16 is measured on a probe of some windows. For the larger types
/// that divergence is scaled by the ratio of the encodings' squared errors, weighted by the size of
/// the inputs. Two second-order assumptions are behind this: the divergence of a small change of
/// weights is a quadratic form of it, so that it grows with the squared error; and the changes of
/// different matrices are independent of each other, so that their divergences add up. What int8
/// activations lose is the same for all types and left out.
extension Converter {
  /// Types that are chosen from: each the best of Ember's for its bits.
  private static let candidates: [BlockType] = [.q4n, .q5, .q6, .q8, .f16]
  /// How far from the target a file may be.
  private static let tolerance = 0.01

  /// The types of all matrices; nil where no target was given.
  ///
  /// - Throws: `QuantizerError.invalidOption` where no choice comes within 1 % of the target,
  ///   `.modelTooLarge`; and what reading, encoding and computing throw.
  func assignment(
    of source: Checkpoint, tokenizer: Tokenizer, statistics: InputStatistics?,
    memoryLimit: Int?,
    isCancelled: () -> Bool, progress: (ConversionProgress) -> Void
  ) throws -> TypeAssignment? {
    guard let target = options.targetBits else { return nil }
    if source.architecture.encoder != nil { throw CalibrationError.hasEncoder(checkpoint) }
    let size = try fileSize(of: source, tokenizer: tokenizer)
    try refuseOutOfReach(target, size, source)
    let probe = try SensitivityProbe(
      source, path: checkpoint,
      windows: try ProbeWindows.windows(
        of: options.calibration, tokenizer: tokenizer, source: source),
      threads: options.threads ?? ThreadCount.recommended, memoryLimit: memoryLimit)
    let choices = try choices(
      for: source, probe: probe, statistics: statistics, isCancelled: isCancelled,
      progress: progress)
    return try assignment(choices, target: target, size: size)
  }

  /// Where the file's parts come to in bytes.
  func fileSize(of source: Checkpoint, tokenizer: Tokenizer) throws -> FileSize {
    func stored(_ content: [UInt8]) -> Int {
      ModelFileWriter.storedByteCount(of: content) ?? content.count
    }
    return FileSize(
      tensors: source.tensors,
      metadataBytes: stored(try metadata(of: source, assignment: nil).encoded()),
      tokenizerBytes: stored(try source.serialized(tokenizer)))
  }

  /// Refuses before any work what no choice of types can reach.
  private func refuseOutOfReach(
    _ target: Double, _ size: FileSize, _ source: Checkpoint
  ) throws {
    func bits(_ free: BlockType) throws -> Double {
      size.bitsPerWeight(
        size.byteCount(
          try source.tensors.map { tensor in
            let type = isFree(tensor, in: source) ? free : type(of: tensor, in: source)
            return try TensorLayout(
              type: type, rows: tensor.rows, columns: tensor.columns,
              outlierSteps: leastOutlierSteps(of: type, columns: tensor.columns))
          }))
    }
    let (smallest, largest) = (try bits(.q4n), try bits(.f16))
    guard target * (1 + Self.tolerance) >= smallest, target * (1 - Self.tolerance) <= largest
    else {
      throw QuantizerError.invalidOption(
        name: "--target-bits",
        expected: "\(hundredths(smallest, .up)) to \(hundredths(largest, .down))"
          + " for this checkpoint",
        found: "\(target)")
    }
  }

  private func isFree(_ tensor: CheckpointTensor, in source: Checkpoint) -> Bool {
    type(of: tensor, in: source) != .f32 && !QuantizationOptions.staysHalf(tensor.name)
      && !options.tensorTypes.contains { $0.fits(tensor.name) }
  }

  /// What every tensor can become, in the order of the checkpoint.
  private func choices(
    for source: Checkpoint, probe: SensitivityProbe, statistics: InputStatistics?,
    isCancelled: () -> Bool, progress: (ConversionProgress) -> Void
  ) throws -> [[TypeChoice]] {
    let threads = options.threads ?? ThreadCount.recommended
    let team = ThreadTeam(threadCount: threads, phaseCapacity: 1)
    var importance = InputImportance(architecture: source.architecture)
    let free = Set(source.tensors.filter { isFree($0, in: source) }.map(\.name))
    func work(_ name: String) -> Int { probe.tokenCount * (probe.layerCount(for: name) + 1) }
    var state = ConversionProgress(
      done: 0, total: free.reduce(0) { $0 + work($1) }, tensor: "", isCalibrating: true)
    func advance(_: Int) throws { if isCancelled() { throw QuantizerError.cancelled } }

    return try source.tensors.map { tensor in
      func encoder(_ type: BlockType, feedback: Bool) throws -> MatrixConverter {
        try matrixConverter(
          for: tensor, type: type, statistics: statistics, importance: importance,
          usingFeedback: feedback)
      }
      let fixed = type(of: tensor, in: source)
      if fixed == .f32 {
        if importance.isSource(tensor.name) { try addVector(tensor, to: &importance) }
        return [
          TypeChoice(
            layout: try TensorLayout(type: .f32, rows: tensor.rows, columns: tensor.columns),
            divergence: 0)
        ]
      }
      state.tensor = "sensitivity of \(tensor.name)"
      progress(state)
      func decoded(_ type: BlockType, feedback: Bool) throws -> MatrixConverter.Decoded {
        let converter = try encoder(type, feedback: feedback)
        return try converter.decoded(
          outlierSteps: try outlierSteps(converter, advance: advance), team: team,
          advance: advance)
      }
      let isFree = free.contains(tensor.name)
      let first = try decoded(isFree ? .q4n : fixed, feedback: false)
      if importance.isSource(tensor.name) {
        importance.add(rowSquares: first.loss.rowSquares, named: tensor.name)
      }
      if !isFree { return [TypeChoice(layout: first.layout, divergence: 0)] }

      let probed = options.recipe == .best ? try decoded(.q4n, feedback: true) : first
      let divergence = try probe.divergence(replacing: tensor.name, by: probed.matrix)
      state.done += work(tensor.name)
      progress(state)
      return try Self.candidates.map { type in
        if type == .f16 {
          // What everything is compared with.
          let layout = try TensorLayout(type: .f16, rows: tensor.rows, columns: tensor.columns)
          return TypeChoice(layout: layout, divergence: 0)
        }
        let other = type == .q4n ? first : try decoded(type, feedback: false)
        let ratio = first.weightedError > 0 ? other.weightedError / first.weightedError : 0
        return TypeChoice(layout: other.layout, divergence: divergence * ratio)
      }
    }
  }

  private func addVector(_ tensor: CheckpointTensor, to importance: inout InputImportance) throws {
    let values = UnsafeMutableBufferPointer<Float>.allocate(
      capacity: tensor.rows * tensor.columns)
    defer { values.deallocate() }
    try tensor.read(rows: 0..<tensor.rows, into: values)
    importance.add(vector: UnsafeBufferPointer(values), named: tensor.name)
  }

  /// The mix that loses least among those of the target's size, rather below it than above.
  private func assignment(
    _ choices: [[TypeChoice]], target: Double, size: FileSize
  ) throws -> TypeAssignment {
    let bytes = target * Double(size.weightCount) / 8
    let most = bytes * (1 + Self.tolerance)
    let allocator = TypeAllocator(
      tensors: choices.map { tensor in
        tensor.map {
          TypeAllocator.Choice(byteCount: $0.layout.byteCount, divergence: $0.divergence)
        }
      })
    func layouts(_ mix: TypeAllocator.Mix) -> [TensorLayout] {
      zip(choices, mix.choices).map { $0[$1].layout }
    }
    // What is not weights, as small as it can be; padding to whole pages differs between mixes.
    let smallest = choices.compactMap { tensor in
      tensor.map(\.layout).min { $0.byteCount < $1.byteCount }
    }
    let rest = size.byteCount(smallest) - smallest.reduce(0) { $0 + $1.byteCount }
    let limit = most - Double(rest) + Double(ModelFileWriter.largestPadding(smallest.count))
    let mixes = allocator.mixes(limit: Int(min(max(limit, 0), 1e18)))
    var (below, above): (Double?, Double?) = (nil, nil)
    var second: TypeAllocator.Mix?
    for mix in mixes {
      let found = Double(size.byteCount(layouts(mix)))
      let bits = size.bitsPerWeight(Int(found))
      if found <= bytes {
        if found >= bytes * (1 - Self.tolerance) { return Self.assignment(mix, choices, size) }
        below = max(below ?? bits, bits)
      } else {
        if found <= most { second = second ?? mix }
        above = min(above ?? bits, bits)
      }
    }
    if let second { return Self.assignment(second, choices, size) }
    if below == nil { above = size.bitsPerWeight(size.byteCount(smallest)) }
    let near = [below, above].compactMap { $0 }.map { "\(hundredths($0, .toNearestOrEven))" }
    throw QuantizerError.invalidOption(
      name: "--target-bits",
      expected: "a size that this checkpoint's tensors can make, such as "
        + near.joined(separator: " or "), found: "\(target)")
  }

  private static func assignment(
    _ mix: TypeAllocator.Mix, _ choices: [[TypeChoice]], _ size: FileSize
  ) -> TypeAssignment {
    var types: [String: BlockType] = [:]
    for (tensor, (options, index)) in zip(size.tensors, zip(choices, mix.choices)) {
      types[tensor.name] = options[index].layout.type
    }
    return TypeAssignment(types: types, divergence: mix.divergence)
  }

  private func hundredths(_ bits: Double, _ rule: FloatingPointRoundingRule) -> Double {
    (bits * 100).rounded(rule) / 100
  }
}
