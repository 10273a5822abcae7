import Ember

/// What `ember plan` says.
struct PlanReport: Encodable {
  var file: String
  /// `model` or `checkpoint`
  var kind: String
  /// Of a checkpoint: what it would be converted to.
  var bits: Nullable<Int>
  var fileBytes: Nullable<Int>
  var parameters: Int
  var budgetBytes: Nullable<Int>
  var fits: Bool
  var totalBytes: Int
  /// The smallest budget with which it runs.
  var neededBytes: Int
  var advice: [Advice]
  var weights: MemoryPlan.Weights
  var mappedBytes: Int
  var pinnedBytes: Int
  var ringBytes: Int
  /// Slots for experts, and how many; 0 where these are mapped.
  var expertBytes: Int
  var expertSlots: Int
  /// Experts of all layers, and the weights of those that a token is given to.
  var experts: Int
  var expertBytesPerToken: Int
  var contextLength: Int
  var modelContextLength: Int
  var cacheBits: Int
  var keyValueCacheBytes: Int
  var scratchBytes: Int
  var chunkTokens: Int
  var programBytes: Int
  /// Of them, metadata and tokenizer.
  var descriptionBytes: Int
  var streamedBytesPerToken: Int
  var weightBytesPerToken: Int
  var diskBytesPerSecond = Nullable<Double>(nil)
  var memoryBytesPerSecond = Nullable<Double>(nil)
  var tokensPerSecond = Nullable<Double>(nil)
  var caches: [Cache]
  var precisions: [PrecisionRow]

  /// What would need less.
  struct Advice: Encodable {
    var option: String
    var neededBytes: Int
  }

  /// A key/value cache.
  struct Cache: Encodable {
    var positions: Int
    var bits: Int
    var bytes: Int
  }

  /// The same request of the model at another precision.
  struct PrecisionRow: Encodable {
    var bits: Int
    var tensorBytes: Int
    /// The smallest budget with which nothing streams.
    var residentBytes: Int
    var fits: Bool
    var streamedBytesPerToken: Int
    var weightBytesPerToken: Int
    var tokensPerSecond = Nullable<Double>(nil)
  }

  let plan: MemoryPlan

  private enum CodingKeys: String, CodingKey {
    case file, kind, bits, fileBytes, parameters, budgetBytes, fits, totalBytes, neededBytes, advice
    case weights, mappedBytes, pinnedBytes, ringBytes
    case expertBytes, expertSlots, experts, expertBytesPerToken
    case contextLength, modelContextLength
    case cacheBits, keyValueCacheBytes, scratchBytes, chunkTokens, programBytes, descriptionBytes
    case streamedBytesPerToken, weightBytesPerToken, diskBytesPerSecond, memoryBytesPerSecond
    case tokensPerSecond, caches, precisions
  }

  /// - Throws: `ModelError.contextTooLong`; a budget that is too small is no error here.
  init(_ subject: PlanSubject, _ request: MemoryRequest) throws {
    var forced = request
    forced.isForced = true
    let plan = try subject.plan(forced)
    var least = forced
    // The context that was chosen for the budget may be longer than it has to be.
    least.budget = .bytes(0)
    self.plan = plan
    file = subject.path.string
    kind = subject.bits == nil ? "model" : "checkpoint"
    bits = Nullable(subject.bits)
    fileBytes = Nullable(subject.fileBytes)
    parameters = subject.parameterCount
    budgetBytes = Nullable(plan.budget)
    fits = plan.fits
    totalBytes = plan.totalBytes
    neededBytes = try subject.plan(least).totalBytes
    let refusal = subject.refusal(of: request)
    advice = refusal.map { Advice(option: $0.option, neededBytes: $0.neededBytes) }
    weights = plan.weights
    mappedBytes = plan.mappedBytes
    pinnedBytes = plan.pinnedBytes
    ringBytes = plan.ringBytes
    expertBytes = plan.expertBytes
    expertSlots = plan.expertSlots
    experts = subject.inventory.experts.count
    expertBytesPerToken = subject.inventory.expertBytesPerToken
    contextLength = plan.contextLength
    modelContextLength = subject.architecture.contextLength
    cacheBits = plan.cachePrecision.bits
    keyValueCacheBytes = plan.cacheBytes
    scratchBytes = plan.scratchBytes
    chunkTokens = plan.chunkLength
    programBytes = plan.programBytes
    descriptionBytes = subject.inventory.descriptionBytes
    streamedBytesPerToken = plan.weights == .streamed ? plan.streamedBytes : 0
    weightBytesPerToken = plan.passBytes
    let own = subject.architecture.contextLength
    caches = Set([own, plan.contextLength, min(own, 2048)]).sorted().flatMap { positions in
      CachePrecision.allCases.map { precision in
        Cache(
          positions: positions, bits: precision.bits,
          bytes: plan.cacheBytes(
            of: subject.architecture, positions: positions, precision: precision))
      }
    }
    precisions = try Precision.allCases.map { try Self.row($0.rawValue, subject, forced) }
  }

  private static func row(
    _ bits: Int, _ subject: PlanSubject, _ request: MemoryRequest
  ) throws -> PrecisionRow {
    let forecast = try subject.forecast(bits)
    func plan(_ request: MemoryRequest) throws -> MemoryPlan {
      try MemoryPlan(
        forecast.inventory, forecast.architecture, request, resident: subject.resident,
        name: subject.path.string)
    }
    let here = try plan(request)
    // With the same context, nothing streaming.
    var all = request
    all.budget = .unlimited
    all.context = .positions(here.contextLength)
    let mapped = try plan(all).totalBytes - forecast.inventory.tableBytes
    return PrecisionRow(
      bits: bits, tensorBytes: forecast.tensorBytes, residentBytes: mapped, fits: here.fits,
      streamedBytesPerToken: here.weights == .streamed ? here.streamedBytes : 0,
      weightBytesPerToken: here.passBytes)
  }

  mutating func add(_ speed: PlanSpeed) {
    func tokens(_ streamed: Int, _ all: Int) -> Nullable<Double> {
      guard let memory = speed.memory else { return Nullable(nil) }
      var seconds = Double(all) / memory
      if streamed > 0 {
        guard let disk = speed.disk else { return Nullable(nil) }
        seconds = max(seconds, Double(streamed) / disk)
      }
      return Nullable(seconds > 0 ? 1 / seconds : nil)
    }
    diskBytesPerSecond = Nullable(speed.disk)
    memoryBytesPerSecond = Nullable(speed.memory)
    tokensPerSecond = tokens(streamedBytesPerToken, weightBytesPerToken)
    for i in precisions.indices {
      precisions[i].tokensPerSecond = tokens(
        precisions[i].streamedBytesPerToken, precisions[i].weightBytesPerToken)
    }
  }
}

extension PlanReport {
  var text: String {
    [summary, picture, cacheTable, precisionTable].joined(separator: "\n")
  }

  private var summary: String {
    var lines: [(name: String, value: String)] = []
    let size = fileBytes.value.map { "\(Format.bytes($0)), " } ?? ""
    lines.append(
      (
        kind,
        OneLine.escape(file) + (bits.value.map { ", as it would be at \($0) bits" } ?? "")
      ))
    lines.append(("file", "\(size)\(Format.grouped(parameters)) weights"))
    lines.append(
      ("budget", budgetBytes.value.map { Format.shortBytes($0) } ?? "no limit"))
    lines.append(
      (
        "fits",
        fits
          ? "yes: \(Format.shortBytes(totalBytes)) at most"
          : "no: needs \(Format.shortBytes(neededBytes)) at least"
      ))
    for advice in advice {
      lines.append(
        ("", "\(advice.option) needs \(Format.shortBytes(advice.neededBytes))"))
    }
    lines.append(("weights", weightWords))
    if experts > 0 { lines.append(("experts", expertWords)) }
    lines.append(
      (
        "context",
        "\(Format.grouped(contextLength)) of the model's \(Format.grouped(modelContextLength))"
          + " positions"
      ))
    lines.append(
      ("cache", "\(Format.shortBytes(keyValueCacheBytes)), keys and values of \(cacheBits) bits"))
    lines.append(
      ("scratch", "\(Format.shortBytes(scratchBytes)), for \(chunkTokens) tokens at a time"))
    lines.append(
      (
        "program",
        "\(Format.shortBytes(programBytes)), metadata and tokenizer"
          + " (\(Format.shortBytes(descriptionBytes))) included"
      ))
    lines.append(
      (
        "a token reads",
        "\(Format.shortBytes(weightBytesPerToken)) of weights, of them"
          + " \(Format.shortBytes(streamedBytesPerToken)) from the file"
          + (weights == .streamed ? ", less while the context is not full" : "")
      ))
    lines.append(("speed", speedWords))
    return Listing.rendered(lines)
  }

  private var weightWords: String {
    switch weights {
    case .mapped: "\(Format.shortBytes(mappedBytes)) mapped, all in memory"
    case .mappedMatrices:
      "\(Format.shortBytes(mappedBytes)) mapped, all in memory but tables, which are read by rows"
    case .streamed:
      "\(Format.shortBytes(pinnedBytes)) pinned,"
        + " \(Format.shortBytes(streamedBytesPerToken)) streaming through a ring of"
        + " \(Format.shortBytes(ringBytes))"
    }
  }

  private var expertWords: String {
    let needed = "a token is given to \(Format.shortBytes(expertBytesPerToken)) of them"
    return expertSlots == 0
      ? "\(Format.grouped(experts)), \(needed)"
      : "\(Format.grouped(expertSlots)) of \(Format.grouped(experts)) in memory"
        + " (\(Format.shortBytes(expertBytes))), \(needed)"
  }

  private var speedWords: String {
    func rate(_ value: Double) -> String { "\(Format.fixed(value * 1e-9, 2)) GB/s" }
    var parts: [String] = []
    if let tokens = tokensPerSecond.value {
      parts.append("up to \(Format.significant(tokens)) tokens/s")
    }
    if let disk = diskBytesPerSecond.value { parts.append("disk \(rate(disk))") }
    if let memory = memoryBytesPerSecond.value { parts.append("memory \(rate(memory))") }
    return parts.isEmpty ? "not measured" : parts.joined(separator: ", ")
  }

  /// The budget as a bar of 60 characters; where there is no limit, what is taken.
  private var picture: String {
    let width = 60
    let whole = max(1, budgetBytes.value ?? totalBytes, totalBytes)
    let parts: [(letter: Character, name: String, bytes: Int)] = [
      ("p", "program", programBytes), ("c", "cache", keyValueCacheBytes),
      ("s", "scratch", scratchBytes), ("r", "ring", ringBytes), ("P", "pinned", pinnedBytes),
      ("e", "experts", expertBytes),
      ("M", "mapped", mappedBytes), (".", "free", max(0, (budgetBytes.value ?? 0) - totalBytes)),
    ].filter { $0.bytes > 0 }
    var bar = ""
    var sum = 0.0
    for part in parts {
      sum += Double(part.bytes)
      let end = Int((sum / Double(whole) * Double(width)).rounded())
      bar += String(repeating: part.letter, count: max(0, min(width, end) - bar.count))
    }
    let legend = parts.map { "\($0.letter) \($0.name) \(Format.shortBytes($0.bytes))" }
    return "[\(bar)]\n\(legend.joined(separator: "  "))\n"
  }

  private var cacheTable: String {
    let precisions = CachePrecision.allCases
    let rows = Set(caches.map(\.positions)).sorted().map { positions in
      [Format.grouped(positions)]
        + precisions.map { precision in
          caches.first { $0.positions == positions && $0.bits == precision.bits }
            .map { Format.shortBytes($0.bytes) } ?? ""
        }
    }
    return TextTable(
      header: ["key/value cache of"] + precisions.map { "\($0.rawValue) bits" }, rows: rows
    ).rendered(as: .listing)
  }

  private var precisionTable: String {
    TextTable(
      header: [
        "weights of", "size", "in memory from", "streamed per token", "tokens/s up to",
      ],
      rows: precisions.map { row in
        [
          "\(row.bits) bits", Format.shortBytes(row.tensorBytes),
          Format.shortBytes(row.residentBytes),
          row.fits ? Format.shortBytes(row.streamedBytesPerToken) : "does not fit",
          row.fits ? row.tokensPerSecond.value.map { Format.significant($0) } ?? "–" : "–",
        ]
      }
    ).rendered(as: .listing)
  }
}
