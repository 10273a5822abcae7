/// Where a model's memory goes, decided before any of it is taken.
///
/// ```swift
/// let plan = try MemoryPlan(for: model, MemoryRequest(budget: .bytes(1 << 30)))
/// let session = try InferenceSession(model: model, plan: plan)
/// ```
///
/// Weights that fit are mapped and computed on where they lie. Of those that do not, some slices,
/// spread through the network, are pinned in private memory, and the others stream through a ring,
/// read ahead of the computation in an order that is known; so every token reads what does not fit
/// and no more. Experts are neither: those that were used last stay in slots of their own, and a token
/// reads those of its experts that are not there. The key/value cache counts as if the context were
/// full.
public struct MemoryPlan: Sendable, Equatable {
  /// How weights are held.
  public enum Weights: String, Sendable, Codable {
    /// All in the mapped file.
    case mapped
    /// Matrices in the mapped file, rows of the token table read as they are needed.
    case mappedMatrices = "mapped_matrices"
    /// Some pinned, the others streaming.
    case streamed
  }

  /// What the process may have, in bytes; nil for no limit.
  public internal(set) var budget: Int?
  public internal(set) var weights: Weights
  /// Positions, how they are stored, and tokens per pass over the weights.
  public internal(set) var contextLength: Int
  public internal(set) var cachePrecision: CachePrecision
  public internal(set) var chunkLength: Int
  /// Sequences that are computed together, each with a cache of its own.
  public internal(set) var sequences: Int

  /// The program itself, its tokenizer, whatever else it holds, and a reserve. Bytes, as are those
  /// below.
  public internal(set) var programBytes: Int
  /// Of the full context, of all sequences.
  public internal(set) var cacheBytes: Int
  public internal(set) var scratchBytes: Int
  /// Weights computed on in the mapping.
  public internal(set) var mappedBytes: Int
  /// Weights in private memory.
  public internal(set) var pinnedBytes: Int
  /// The ring that weights stream through.
  public internal(set) var ringBytes: Int
  /// Slots for experts, each as large as the largest expert.
  public internal(set) var expertBytes = 0
  /// How many slots there are, and how many experts in all layers; 0 where they are mapped.
  public internal(set) var expertSlots = 0
  public internal(set) var expertCount = 0
  /// Weights of the experts that a token is given to.
  public internal(set) var expertBytesPerToken = 0
  /// Weights read from the file for each pass with logits of one token; of experts, as many as it
  /// comes to where the router likes all of them as much.
  public internal(set) var streamedBytes: Int
  /// Weights that a pass computes on, wherever they lie.
  public internal(set) var passBytes: Int

  /// Slots of the ring, and bytes of the slices that go through it.
  var slots = 0
  var sliceBytes = 0
  /// What pinned weights might take; `pinnedBytes` is what whole slices of it come to.
  var pinnableBytes = 0

  /// What the process will have at most.
  public var totalBytes: Int {
    [
      cacheBytes, scratchBytes, mappedBytes, pinnedBytes, ringBytes, expertBytes,
    ].reduce(programBytes) {
      $0.addingReportingOverflow($1).overflow ? .max : $0 + $1
    }
  }

  /// Bytes of the key/value cache of one sequence that is computed in steps as long as the plan's, and
  /// of a source as long where there is an encoder; `Int.max` where no integer holds their number.
  public func cacheBytes(
    of architecture: Architecture, positions: Int, precision: CachePrecision
  ) -> Int {
    let own = KeyValueCache.byteCount(
      architecture: architecture, precision: precision, positions: positions,
      stepLength: chunkLength)
    let (sum, overflows) = own.addingReportingOverflow(
      SourceEncoder.cacheBytes(architecture, precision: precision, contextLength: positions))
    return overflows ? .max : sum
  }

  /// What the model itself adds to the process: all but the program.
  public var modelBytes: Int { totalBytes - programBytes }

  /// Whether it stays within the budget.
  public var fits: Bool { budget.map { totalBytes <= $0 } ?? true }
}

/// What is asked of a plan.
public struct MemoryRequest: Sendable, Equatable {
  public var budget: MemoryBudget
  public var context: Context
  /// Positions that will be used at most, where that is known: an automatic context is not longer at
  /// the cost of weights. It does not count where a token depends on the context's length, as with
  /// some rotary scalings.
  public var neededPositions: Int?
  public var cachePrecision: CachePrecision
  /// Tokens per pass over the weights; nil for what the memory allows.
  public var chunkLength: Int?
  public var sequences: Int
  /// Bytes of the budget that others in this process will take, beyond what it has now.
  public var promisedBytes: Int
  /// Plans for the least memory instead of refusing.
  public var isForced: Bool

  public enum Context: Sendable, Equatable {
    /// The model's own length, or what the budget allows.
    case automatic
    case positions(Int)
  }

  public init(
    budget: MemoryBudget = .automatic, context: Context = .automatic,
    cachePrecision: CachePrecision = .half, chunkLength: Int? = nil, sequences: Int = 1,
    promisedBytes: Int = 0, isForced: Bool = false
  ) {
    self.budget = budget
    self.context = context
    self.cachePrecision = cachePrecision
    self.chunkLength = chunkLength
    self.sequences = max(1, sequences)
    self.promisedBytes = promisedBytes
    self.isForced = isForced
  }
}

extension MemoryPlan {
  /// - Throws: `ModelError.contextTooLong`, `.budgetTooSmall`
  public init(for model: Model, _ request: MemoryRequest) throws(ModelError) {
    try self.init(
      model.inventory, model.architecture, request, resident: ProcessMemory.resident,
      name: model.file.path.string)
  }

  /// - Parameters:
  ///   - resident: bytes that the process has now, the model's description included.
  ///   - name: of the model, for errors.
  public init(
    _ inventory: WeightInventory, _ architecture: Architecture, _ request: MemoryRequest,
    resident: Int, name: String
  ) throws(ModelError) {
    self = try MemoryPlanner(
      inventory: inventory, architecture: architecture, request: request,
      budget: request.budget.resolved(resident: resident), resident: resident, name: name
    ).plan()
  }
}
