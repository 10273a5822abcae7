extension MemoryPlan {
  /// Plans for models that are computed side by side in one process, each with a cache of its kind,
  /// which counts instead of the request's. Where not all fit, each gets a
  /// share of the budget as large as its need is among all needs.
  ///
  /// - Returns: one plan per model, in order.
  /// - Throws: `ModelError.contextTooLong`, `.budgetTooSmall`
  public static func sideBySide(
    _ entries: [(model: Model, cachePrecision: CachePrecision)], _ request: MemoryRequest
  ) throws(ModelError) -> [MemoryPlan] {
    let resident = ProcessMemory.resident
    func plan(_ index: Int, _ budget: MemoryBudget) throws(ModelError) -> MemoryPlan {
      let (model, cachePrecision) = entries[index]
      var request = request
      request.budget = budget
      request.cachePrecision = cachePrecision
      return try MemoryPlan(
        model.inventory, model.architecture, request, resident: resident,
        name: model.file.path.string)
    }
    var plans: [MemoryPlan] = []
    for i in entries.indices { plans.append(try plan(i, .unlimited)) }
    guard let budget = request.budget.resolved(resident: resident) else { return plans }
    let needs = plans.map { Double($0.totalBytes - $0.programBytes) }
    let all = needs.reduce(0, +)
    let program = plans.map(\.programBytes).max() ?? 0
    let free = Double(max(0, budget - program))
    for i in entries.indices {
      if all <= free {
        plans[i].budget = budget
      } else {
        let share = free * needs[i] / max(1, all)
        plans[i] = try plan(i, .bytes(plans[i].programBytes + Int(share)))
      }
    }
    return plans
  }
}
