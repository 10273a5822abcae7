import EmberFormat
import EmberKernels

/// Finds the plan that makes the most of a budget.
struct MemoryPlanner {
  let inventory: WeightInventory
  let architecture: Architecture
  let request: MemoryRequest
  /// nil for no limit.
  let budget: Int?
  let resident: Int
  let name: String

  /// What a process takes beyond what it has when it plans and what the plan counts: code that was
  /// not run before, stacks of threads, the heap's own gaps, text and statistics. Measured with 1 to 8
  /// threads, prompts up to the context, both caches, Llama's and GPT-2's kind, everything mapped or
  /// as good as all streaming: 0.2 to 2.2 MB.
  static let reserveBytes = 5 << 20

  /// Tokens per pass over the weights where these are in memory: more gained nothing.
  private static let residentChunk = 128
  /// And where they stream: reading them is shared by all tokens of a chunk.
  private static let streamingChunk = 512
  /// A context that is worth more than weights in memory.
  private static let usefulContext = 2048

  /// - Throws: `ModelError.contextTooLong`, `.budgetTooSmall`
  func plan() throws(ModelError) -> MemoryPlan {
    let own = architecture.contextLength
    if case .positions(let count) = request.context, count > own || count < 1 {
      throw .contextTooLong(requested: count, maximum: own)
    }
    guard let budget else { return mapped(.mapped, context: requestedContext ?? own) }
    if let plan = mappedPlan(within: budget) { return plan }
    let plan = streamedPlan(within: budget)
    if plan.fits || request.isForced { return plan }
    throw .budgetTooSmall(
      path: name, needed: plan.totalBytes, budget: budget, advice: advice(instead: plan))
  }

  private var requestedContext: Int? {
    if case .positions(let count) = request.context { count } else { nil }
  }

  /// What is known of the text's length, where it may limit the context.
  private var needed: Int? {
    // A source has a context of its own.
    if architecture.dependsOnContextLength || architecture.encoder != nil { return nil }
    return request.neededPositions.map { max(1, $0) }
  }

  // MARK: - Weights in the mapping

  /// The plan with everything in the mapping, or everything but tables; nil where it does not fit.
  private func mappedPlan(within budget: Int) -> MemoryPlan? {
    let own = architecture.contextLength
    for kind in [MemoryPlan.Weights.mapped, .mappedMatrices] {
      let plan = mapped(kind, context: requestedContext ?? own)
      if plan.fits { return plan }
    }
    guard requestedContext == nil else { return nil }
    // A shorter context before weights have to stream, as long as it is of use.
    let least = min(own, needed ?? Self.usefulContext)
    guard let context = longest(least...own, { mapped(.mappedMatrices, context: $0).fits })
    else { return nil }
    return mapped(.mappedMatrices, context: context)
  }

  private func mapped(_ kind: MemoryPlan.Weights, context: Int) -> MemoryPlan {
    var plan = base(context: context, chunk: request.chunkLength ?? Self.residentChunk)
    plan.weights = kind
    plan.mappedBytes =
      inventory.matrixBytes + inventory.expertBytes + inventory.vectorBytes
      + inventory.encoderBytes
    // Around what is touched, the system may map up to a large page: at either end of a table.
    plan.mappedBytes += kind == .mapped ? inventory.tableBytes : min(inventory.tableBytes, 4 << 20)
    return plan
  }

  // MARK: - Weights that stream

  /// The best plan whose weights stream; it may be over the budget where the least is.
  private func streamedPlan(within budget: Int) -> MemoryPlan {
    let longestUseful = min(architecture.contextLength, needed ?? 2 * Self.usefulContext)
    var context = requestedContext ?? longestUseful
    if requestedContext == nil {
      // A quarter of what there is to share out.
      let free =
        budget - streamed(context: 1, chunk: 1, sliceBytes: leastSlice, slots: 3).totalBytes
      let allowed = longest(min(context, 64)...context) { cacheBytes($0, chunk: 1) <= free / 4 }
      context = allowed ?? min(context, 64)
    }
    var chunk = min(request.chunkLength ?? Self.streamingChunk, context * request.sequences)
    while chunk > 16, scratchBytes(context: context, chunk: chunk) > budget / 32 {
      chunk = max(16, chunk - 16)
    }
    let (slice, slots) = ring(within: budget)
    var plan = streamed(context: context, chunk: chunk, sliceBytes: slice, slots: slots)
    if !plan.fits {
      plan = streamed(
        context: context, chunk: min(chunk, Activations.tokensPerTile), sliceBytes: leastSlice,
        slots: 3)
    }
    plan.pinnableBytes = max(0, budget - plan.totalBytes)
    if !inventory.experts.isEmpty, shareWithExperts(&plan, budget) { return plan }
    let slices = WeightSlices(
      inventory, sliceBytes: plan.sliceBytes, pinnable: plan.pinnableBytes)
    plan.pinnedBytes += slices.pinnedBytes
    plan.streamedBytes += slices.streamedBytes
    if slices.tickets == 0 {
      plan.ringBytes = encoderRingBytes(plan.sliceBytes, slots: plan.slots)
    }
    return plan
  }

  private func streamed(
    context: Int, chunk: Int, sliceBytes: Int, slots: Int
  ) -> MemoryPlan {
    var plan = base(context: context, chunk: chunk)
    plan.weights = .streamed
    plan.pinnedBytes = inventory.vectorBytes
    plan.sliceBytes = sliceBytes
    plan.slots = slots
    plan.ringBytes =
      slots * WeightSlices.slotBytes(inventory, sliceBytes: sliceBytes)
      + encoderRingBytes(sliceBytes, slots: slots)
    addExperts(&plan)
    return plan
  }

  /// The ring that what a source reads streams through; 0 where there is no encoder.
  private func encoderRingBytes(_ sliceBytes: Int, slots: Int) -> Int {
    inventory.encoder.map { slots * WeightSlices.slotBytes($0, sliceBytes: sliceBytes) } ?? 0
  }

  private var leastSlice: Int { 64 << 10 }

  /// Slices and slots of a ring that takes a thirty-second of the budget: 2 MB and 16 where that is
  /// enough, which the disk needs for its full speed.
  private func ring(within budget: Int) -> (sliceBytes: Int, slots: Int) {
    var slice = 2 << 20
    while slice > leastSlice, 16 * slice > budget / 32 { slice /= 2 }
    return (slice, 16)
  }

  // MARK: - What all plans have

  private func base(context: Int, chunk: Int) -> MemoryPlan {
    // Both are below 2^27: no overflow. A step has room for a token of every sequence.
    let chunk = max(request.sequences, min(chunk, context * request.sequences))
    return MemoryPlan(
      budget: budget, weights: .mapped, contextLength: context,
      cachePrecision: request.cachePrecision, chunkLength: chunk, sequences: request.sequences,
      // What is promised may be a sum that no integer holds: more than any machine has will do.
      programBytes: resident + Self.reserveBytes + min(request.promisedBytes, 1 << 60)
        + 2 * inventory.tableRowBytes,
      cacheBytes: cacheBytes(context, chunk: chunk),
      scratchBytes: sum(
        scratchBytes(context: context, chunk: chunk),
        SourceEncoder.scratchBytes(architecture, contextLength: context)),
      mappedBytes: 0, pinnedBytes: 0, ringBytes: 0, streamedBytes: 0,
      passBytes: inventory.matrixBytes + inventory.vectorBytes + inventory.expertBytesPerToken)
  }

  private func cacheBytes(_ context: Int, chunk: Int) -> Int {
    let one = KeyValueCache.byteCount(
      architecture: architecture, precision: request.cachePrecision, positions: context,
      stepLength: chunk)
    let (all, overflows) = one.multipliedReportingOverflow(by: request.sequences)
    let source = SourceEncoder.cacheBytes(
      architecture, precision: request.cachePrecision, contextLength: context)
    return overflows ? .max : sum(all, source)
  }

  private func sum(_ a: Int, _ b: Int) -> Int {
    let (sum, overflows) = a.addingReportingOverflow(b)
    return overflows ? .max : sum
  }

  private func scratchBytes(context: Int, chunk: Int) -> Int {
    Scratch.byteCount(
      architecture: architecture, precision: request.cachePrecision, contextLength: context,
      capacity: chunk,
      logitsCapacity: max(request.sequences, Activations.tokensPerTile))
  }

  /// The longest context of a range that is allowed, a multiple of 64 unless it is an end; nil if
  /// none is. What is allowed must not depend on the length but by growing with it.
  private func longest(_ range: ClosedRange<Int>, _ isAllowed: (Int) -> Bool) -> Int? {
    if isAllowed(range.upperBound) { return range.upperBound }
    guard isAllowed(range.lowerBound) else { return nil }
    var (low, high) = (range.lowerBound, range.upperBound)
    while high - low > 1 {
      let middle = low + (high - low) / 2
      if isAllowed(middle) { low = middle } else { high = middle }
    }
    return max(range.lowerBound, low / 64 * 64)
  }

  /// What would need less, with numbers.
  private func advice(instead plan: MemoryPlan) -> [MemoryAdvice] {
    func needs(_ change: (inout MemoryRequest) -> Void) -> Int {
      var request = request
      change(&request)
      let planner = MemoryPlanner(
        inventory: inventory, architecture: architecture, request: request, budget: 0,
        resident: resident, name: name)
      return planner.streamedPlan(within: 0).totalBytes
    }
    var advice: [MemoryAdvice] = []
    if request.cachePrecision == .half {
      advice.append(MemoryAdvice("--cache-bits 8", needs: needs { $0.cachePrecision = .int8 }))
    }
    let context = plan.contextLength / 2
    if context >= 64 {
      advice.append(
        MemoryAdvice(
          "--context \(context)", needs: needs { $0.context = .positions(context) }))
    }
    // A change that saves next to nothing is no way out.
    return advice.filter { $0.neededBytes < plan.totalBytes / 50 * 49 }
  }
}

/// Something that would take less memory.
public struct MemoryAdvice: Sendable, Equatable {
  /// The option.
  public let option: String
  /// Bytes that the process needs with it at least.
  public let neededBytes: Int

  package init(_ option: String, needs bytes: Int) {
    self.option = option
    neededBytes = bytes
  }
}
