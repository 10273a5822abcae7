import EmberKernels

/// What the threads of a session compute in one step. A value, so that a step allocates nothing.
struct ForwardStep: TeamWork {
  let pass: ForwardPass
  /// Whether the tokens go through the layers, or did so before.
  let computesLayers: Bool
  /// The tokens of the pass whose logits are wanted; may be empty.
  let logits: Range<Int>
  /// Whether `logits` counts the segments' last tokens that are wanted, not the tokens of the pass.
  var gathersEnds = false

  func run(_ worker: inout ThreadTeam.Worker) {
    if computesLayers { pass.layers(&worker) }
    if gathersEnds { pass.gatherEnds(&worker) }
    if !logits.isEmpty { pass.logits(logits, &worker) }
  }
}
