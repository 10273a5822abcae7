/// What of a budget goes to the experts of a mixture.
///
/// Every token reads what is not an expert, and an expert only now and then, so the others are pinned
/// first, and what is left then becomes slots.
extension MemoryPlanner {
  /// The least: what a token needs of one layer, or two, so that one can be read while the other is
  /// computed.
  func addExperts(_ plan: inout MemoryPlan) {
    plan.expertCount = inventory.experts.count
    plan.expertBytesPerToken = inventory.expertBytesPerToken
    set(&plan, slots: min(max(2, inventory.usedExperts), inventory.experts.count))
  }

  /// Pins all but the experts, without a ring, and makes the rest of the budget slots.
  ///
  /// - Returns: false where not all of it can be pinned; then nothing is changed.
  func shareWithExperts(_ plan: inout MemoryPlan, _ budget: Int) -> Bool {
    let slices = WeightSlices(
      inventory, sliceBytes: plan.sliceBytes, pinnable: plan.pinnableBytes + plan.ringBytes)
    if slices.tickets > 0 { return false }
    plan.pinnableBytes += plan.ringBytes
    plan.pinnedBytes += slices.pinnedBytes
    plan.ringBytes = 0
    let more = max(0, budget - plan.totalBytes) / max(1, ExpertPlaces.slotBytes(inventory))
    set(&plan, slots: min(plan.expertSlots + more, inventory.experts.count))
    return true
  }

  private func set(_ plan: inout MemoryPlan, slots: Int) {
    plan.expertSlots = slots
    let bytes = slots.multipliedReportingOverflow(by: ExpertPlaces.slotBytes(inventory))
    plan.expertBytes = bytes.overflow ? .max : bytes.partialValue
    let missing = 1 - Double(slots) / Double(max(1, plan.expertCount))
    plan.streamedBytes = Int(Double(plan.expertBytesPerToken) * missing)
  }
}
