import EmberKernels

/// Products with weights, wherever these are.
extension ForwardPass {
  /// output[t] = linear · input[t], rows `stride` floats apart.
  struct Product {
    let linear: Weights.Linear
    let output: UnsafeMutablePointer<Float>
    let stride: Int

    init(_ linear: Weights.Linear, into output: UnsafeMutablePointer<Float>, stride: Int) {
      self.linear = linear
      self.output = output
      self.stride = stride
    }

    var rowGroups: Int { linear.weight.rowGroups }
  }

  /// Up to three products with a common input, as one phase: their row groups in a row. (A list of
  /// them would be an array, and a step allocates nothing.)
  func multiply(
    _ first: Product, _ second: Product? = nil, _ third: Product? = nil, by inputs: Activations,
    accumulating: Bool = false, _ worker: inout ThreadTeam.Worker
  ) {
    if let stream = residency.stream {
      multiply(first, through: stream, by: inputs, accumulating: accumulating, &worker)
      multiply(second, through: stream, by: inputs, accumulating: accumulating, &worker)
      multiply(third, through: stream, by: inputs, accumulating: accumulating, &worker)
      return
    }
    let secondStart = first.rowGroups
    let thirdStart = secondStart + (second?.rowGroups ?? 0)
    let total = thirdStart + (third?.rowGroups ?? 0)
    func rows(_ range: Range<Int>, of product: Product?, from start: Int) {
      guard let product else { return }
      let groups = range.clamped(to: start..<start + product.rowGroups)
      if groups.isEmpty { return }
      product.linear.weight.multiply(
        inputs, groups: groups.lowerBound - start..<groups.upperBound - start,
        output: product.output, stride: product.stride, bias: product.linear.bias,
        accumulating: accumulating, kernels: kernels)
    }
    worker.phase(dividing: total, unit: Matrix.groupsAtOnce) { range in
      rows(range, of: first, from: 0)
      rows(range, of: second, from: secondStart)
      rows(range, of: third, from: thirdStart)
    }
  }

  /// One product whose matrix is pinned or streams: a phase for each slice, as soon as it is there.
  private func multiply(
    _ product: Product?, through stream: WeightStream, by inputs: Activations, accumulating: Bool,
    _ worker: inout ThreadTeam.Worker
  ) {
    guard let product else { return }
    for index in product.linear.slices {
      let (slice, firstRow) = stream.wait(for: index, of: product.linear.weight)
      worker.phase(dividing: slice.rowGroups, unit: Matrix.groupsAtOnce) { groups in
        slice.multiply(
          inputs, groups: groups, output: product.output + firstRow, stride: product.stride,
          bias: product.linear.bias.map { $0 + firstRow }, accumulating: accumulating,
          kernels: kernels)
      }
      stream.release(index)
    }
  }
}
