/// What the workers of a step compute, as a value: a step with it allocates nothing.
///
/// ```swift
/// struct Doubling: TeamWork {
///   let values: UnsafeMutableBufferPointer<Float>
///   func run(_ worker: inout ThreadTeam.Worker) {
///     worker.phase(dividing: values.count) { range in for i in range { values[i] *= 2 } }
///   }
/// }
/// team.step(Doubling(values: values))
/// ```
///
/// A closure is more convenient, but keeping one where other threads find it takes memory.
public protocol TeamWork: Sendable {
  /// Called on every worker that joins the step; all must reach the same phases in the same order.
  func run(_ worker: inout ThreadTeam.Worker)
}

/// A closure as work.
struct ClosureWork: TeamWork {
  let body: @Sendable (inout ThreadTeam.Worker) -> Void
  func run(_ worker: inout ThreadTeam.Worker) { body(&worker) }
}
