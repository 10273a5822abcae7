import EmberKernels

/// Mixtures of experts.
///
/// What a token's experts say is added up in the order of the experts, each with the same operations,
/// whether the token is computed alone, all its experts at once, or among others, expert by expert.
/// Both give the same bits.
extension ForwardPass {
  /// mixed = Σ weight · expert(x) (+ σ(shared gate · x) · shared expert(x)), where x = norm(stream)
  /// and lies in `scratch.normed`.
  func mix(
    _ layer: Weights.Layer, _ mixture: Weights.Mixture, _ index: Int,
    _ worker: inout ThreadTeam.Worker
  ) {
    guard let buffers = scratch.experts else { return }
    let routing = buffers.routing
    multiply(
      Product(mixture.router, into: buffers.scores, stride: routing.count), by: scratch.normed,
      &worker)
    let normalizes = architecture.feedForward.experts?.normalizes ?? false
    worker.phase(dividing: tokenCount) { range in
      for t in range {
        routing.choose(
          t, buffers.scores + t * routing.count, normalizes: normalizes, kernels: kernels)
      }
    }
    worker.phase(pieces: 1) { _ in
      routing.list(tokens: tokenCount, layer: index)
      let first = routing.members(of: routing.active(0, layer: index), layer: index)
      buffers.gathered.tokens = first.count
      buffers.inner.tokens = first.count
      // They are read from the file meanwhile, where they are not in memory.
      residency.experts?.request(routing.activeExperts(layer: index), layer: index)
    }
    beginMixing(layer, mixture, buffers, &worker)
    if tokenCount == 1 {
      mixAlone(mixture, index, buffers, &worker)
    } else {
      mixTogether(mixture, index, buffers, &worker)
    }
  }

  /// stream = sumNorm(stream + outputNorm(mixed)), with those norms that there are.
  func joinMixture(_ layer: Weights.Layer, _ worker: inout ThreadTeam.Worker) {
    guard let buffers = scratch.experts else { return }
    let width = architecture.width
    worker.phase(dividing: tokenCount) { range in
      for t in range {
        let mixed = buffers.mixed + t * width
        if let norm = layer.feedForwardOutputNorm { normalise(norm, mixed, into: mixed) }
        kernels.table.add_elements(scratch.stream(t), mixed, width)
        if let norm = layer.feedForwardSumNorm {
          normalise(norm, scratch.stream(t), into: scratch.stream(t))
        }
      }
    }
  }

  /// mixed = σ(shared gate · x) · shared expert(x), or 0 where there is none.
  private func beginMixing(
    _ layer: Weights.Layer, _ mixture: Weights.Mixture, _ buffers: ExpertScratch,
    _ worker: inout ThreadTeam.Worker
  ) {
    let width = architecture.width
    guard let sharedGate = mixture.sharedGate else {
      return worker.phase(dividing: tokenCount) { range in
        (buffers.mixed + range.lowerBound * width).update(
          repeating: 0, count: range.count * width)
      }
    }
    inner(layer, beside: Product(sharedGate, into: buffers.sharedGates, stride: 1), &worker)
    multiply(
      Product(layer.down, into: buffers.mixed, stride: width), by: scratch.inner, &worker)
    worker.phase(dividing: tokenCount) { range in
      for t in range {
        // σ(x) = 1 / (1 + e^−x), by the kernels' own exponential.
        let gate = buffers.sharedGates + t
        gate.pointee = -gate.pointee
        _ = kernels.table.exponentials(gate, 0, 1)
        let share = 1 / (1 + gate.pointee)
        for i in t * width..<(t + 1) * width { buffers.mixed[i] *= share }
      }
    }
  }

  /// Adds the experts of a single token: all at once, so that there is work for all workers.
  private func mixAlone(
    _ mixture: Weights.Mixture, _ index: Int, _ buffers: ExpertScratch,
    _ worker: inout ThreadTeam.Worker
  ) {
    guard let example = mixture.experts.first else { return }
    let width = architecture.width
    let (count, innerWidth, inner) = (mixture.used, buffers.innerWidth, buffers.ownInner)
    let innerGroups = example.up.rowGroups
    worker.phase(dividing: 2 * count * innerGroups, unit: Matrix.groupsAtOnce) { range in
      for i in range.lowerBound / innerGroups...(range.upperBound - 1) / innerGroups {
        let groups = range.clamped(to: i * innerGroups..<(i + 1) * innerGroups)
        let rows = groups.lowerBound - i * innerGroups..<groups.upperBound - i * innerGroups
        let expert = expert(i / 2, of: mixture, index)
        if i % 2 == 0 {
          expert.gate.multiply(
            scratch.normed, tile: 0, groups: rows, output: buffers.gates + i / 2 * innerWidth,
            stride: innerWidth, kernels: kernels)
        } else {
          expert.up.multiply(
            scratch.normed, tile: 0, groups: rows, output: inner.vector(i / 2),
            stride: inner.paddedColumns, kernels: kernels)
        }
      }
    }
    worker.phase(pieces: count) { i in
      activate(inner.vector(i), gate: buffers.gates + i * innerWidth, width: innerWidth)
      let type = mixture.experts[buffers.routing.active(i, layer: index)].down.type
      if type != .f16 { inner.quantize(tile: i, kernels: kernels) }
    }
    let groups = example.down.rowGroups
    worker.phase(dividing: count * groups, unit: Matrix.groupsAtOnce) { range in
      for i in range.lowerBound / groups...(range.upperBound - 1) / groups {
        let part = range.clamped(to: i * groups..<(i + 1) * groups)
        expert(i, of: mixture, index).down.multiply(
          inner, tile: i, groups: part.lowerBound - i * groups..<part.upperBound - i * groups,
          output: buffers.products + i * width, stride: width, kernels: kernels)
      }
    }
    worker.phase(dividing: width, unit: 64) { range in
      if range.lowerBound == 0 { residency.experts?.release(through: count - 1) }
      for i in 0..<count {
        // A single token's experts have one member each.
        let share = buffers.routing.member(i).share
        for column in range {
          buffers.mixed[column] += share * buffers.products[i * width + column]
        }
      }
    }
  }

  /// Adds the experts of several tokens: one after another, each for all tokens that it is given.
  private func mixTogether(
    _ mixture: Weights.Mixture, _ index: Int, _ buffers: ExpertScratch,
    _ worker: inout ThreadTeam.Worker
  ) {
    guard let example = mixture.experts.first else { return }
    let routing = buffers.routing
    let (gathered, inner) = (buffers.gathered, buffers.inner)
    let (width, innerWidth) = (architecture.width, buffers.innerWidth)
    let (innerGroups, groups) = (example.up.rowGroups, example.down.rowGroups)
    let activeCount = routing.activeCount(layer: index)
    for i in 0..<activeCount {
      let members = routing.members(of: routing.active(i, layer: index), layer: index)
      let tiles = (members.count + gathered.tileLength - 1) / gathered.tileLength
      worker.phase(pieces: tiles) { tile in
        for row in gathered.tokenRange(ofTile: tile) {
          let (token, _) = routing.member(members.lowerBound + row)
          gathered.vector(row).update(
            from: scratch.normed.vector(token), count: gathered.paddedColumns)
        }
        if scratch.quantizesInputs { gathered.quantize(tile: tile, kernels: kernels) }
      }
      worker.phase(dividing: 2 * innerGroups, unit: Matrix.groupsAtOnce) { range in
        let expert = expert(i, of: mixture, index)
        let gate = range.clamped(to: 0..<innerGroups)
        if !gate.isEmpty {
          expert.gate.multiply(
            gathered, groups: gate, output: buffers.gates, stride: innerWidth, kernels: kernels)
        }
        let up = range.clamped(to: innerGroups..<2 * innerGroups)
        if !up.isEmpty {
          expert.up.multiply(
            gathered, groups: up.lowerBound - innerGroups..<up.upperBound - innerGroups,
            output: inner.values, stride: inner.paddedColumns, kernels: kernels)
        }
      }
      worker.phase(pieces: tiles) { tile in
        for row in inner.tokenRange(ofTile: tile) {
          activate(inner.vector(row), gate: buffers.gates + row * innerWidth, width: innerWidth)
        }
        let type = mixture.experts[routing.active(i, layer: index)].down.type
        if type != .f16 { inner.quantize(tile: tile, kernels: kernels) }
      }
      worker.phase(dividing: groups, unit: Matrix.groupsAtOnce) { range in
        expert(i, of: mixture, index).down.multiply(
          inner, groups: range, output: buffers.products, stride: width, kernels: kernels)
      }
      worker.phase(dividing: members.count) { range in
        for row in range {
          let (token, share) = routing.member(members.lowerBound + row)
          let mixed = buffers.mixed + token * width
          let product = buffers.products + row * width
          for column in 0..<width { mixed[column] += share * product[column] }
        }
        if range.lowerBound > 0 { return }
        residency.experts?.release(through: i)
        // Nothing uses these until the next phase.
        if i + 1 < activeCount {
          let next = routing.members(of: routing.active(i + 1, layer: index), layer: index).count
          gathered.tokens = next
          inner.tokens = next
        }
      }
    }
  }

  /// The i-th active expert of a layer, as soon as it is there; only for the pieces that compute it.
  private func expert(
    _ i: Int, of mixture: Weights.Mixture, _ layer: Int
  ) -> Weights.Expert {
    guard let buffers = scratch.experts else { return mixture.experts[i] }
    let expert = mixture.experts[buffers.routing.active(i, layer: layer)]
    return residency.experts.map { $0.wait(for: i, expert) } ?? expert
  }
}
