import EmberModel
import Foundation

/// Factors of a tensor's rows and columns, powers of two, so that multiplying is exact.
struct TensorScaling: Sendable {
  var rows: [Float]?
  var columns: [Float]?
}

extension Checkpoint {
  /// The same function with columns of emergent size brought back among the others.
  ///
  /// A model may hide a large feature in a large gain and small weights, or in large weights behind
  /// a small gain (Dettmers et al. 2022, LLM.int8(), section 4). Either spoils the scale of every
  /// block that the column crosses, of the weights or of the activations. Where the producer of a
  /// matrix's inputs is linear, a norm's gain, the rows of the value matrix, or those of the up
  /// projection of a gated feed-forward, a factor there and its inverse in the columns behind it
  /// change nothing: the second scale per column of SINQ (Müller et al. 2025), at no cost, but only
  /// where a size is eight times the typical one or more, or an eighth of it or less, and the columns
  /// are out of size the other way. (Levelling all columns was tried: it gains nothing on models
  /// without such features. Dead channels are small before and typical behind; they are left alone.)
  ///
  /// - Parameter onlyValues: those between the value matrix and what reads it, which matter to
  ///   weights of 16 bits, too: the key/value cache may keep values in blocks.
  /// - Throws: `CheckpointError`
  func foldingEmergentColumns(onlyValues: Bool = false) throws(CheckpointError) -> Checkpoint {
    var scalings: [String: TensorScaling] = [:]
    for layer in 0..<architecture.layerCount {
      func weight(_ matrix: TensorName.Matrix) -> String {
        TensorName.weight(matrix, layer: layer)
      }
      func fold(norm: TensorName.Norm, into readers: [TensorName.Matrix]) throws(CheckpointError) {
        let gain = TensorName.weight(norm, layer: layer)
        let bias = TensorName.bias(norm, layer: layer)
        guard
          let factors = try helpful(
            Self.factors(try sizes(ofVectors: [gain, bias])), readers: readers.map(weight),
            source: { $0 })
        else { return }
        scalings[gain, default: TensorScaling()].columns = factors
        scalings[bias, default: TensorScaling()].columns = factors
        for reader in readers {
          scalings[weight(reader), default: TensorScaling()].columns = factors.map { 1 / $0 }
        }
      }
      func fold(
        rowsOf producer: TensorName.Matrix, into reader: TensorName.Matrix, columns: [Int]
      ) throws(CheckpointError) {
        guard
          let factors = try helpful(
            Self.factors(try sizes(ofRows: weight(producer))), readers: [weight(reader)],
            source: { columns[$0] })
        else { return }
        scalings[weight(producer), default: TensorScaling()].rows = factors
        scalings[TensorName.bias(producer, layer: layer), default: TensorScaling()].columns =
          factors
        scalings[weight(reader), default: TensorScaling()].columns = columns.map { 1 / factors[$0] }
      }
      // A query head reads the values of the key/value head that it shares.
      let a = architecture.attention
      try fold(
        rowsOf: .value, into: .attentionOutput,
        columns: (0..<a.headCount * a.headDimension).map { column in
          column / a.headDimension / (a.headCount / a.keyValueHeadCount) * a.headDimension
            + column % a.headDimension
        })
      if onlyValues { continue }
      try fold(norm: .attention, into: [.query, .key, .value])
      // A mixture's norm is read by a router and every expert: looking through all of them for the
      // sake of a column is not worth it.
      if architecture.feedForward.experts != nil { continue }
      try fold(norm: .feedForward, into: [.gate, .up])
      if architecture.feedForward.kind == .gated {
        try fold(
          rowsOf: .up, into: .down, columns: Array(0..<architecture.feedForwardWidth))
      }
    }
    if scalings.isEmpty { return self }
    var folded = self
    folded.tensors = tensors.map { tensor in
      var tensor = tensor
      tensor.scaling = scalings[tensor.name]
      return tensor
    }
    return folded
  }

  /// The factors that bring sizes of emergent columns to the typical one; nil where there are none.
  private static func factors(_ sizes: [Float]) -> [Float]? {
    let typical = sizes.sorted()[sizes.count / 2]
    guard typical > 0, typical.isFinite else { return nil }
    let factors = sizes.map { size -> Float in
      let exponent = log2(typical / size).rounded()
      return abs(exponent) >= 3 && abs(exponent) <= 24 ? exp2(exponent) : 1
    }
    return factors.contains { $0 != 1 } ? factors : nil
  }

  /// Those factors whose inverse brings the columns behind them closer to the typical size, the rest
  /// 1; nil where none is left.
  ///
  /// - Parameter source: the factor's index by the column's.
  private func helpful(
    _ factors: [Float]?, readers: [String], source: (Int) -> Int
  ) throws(CheckpointError) -> [Float]? {
    guard let factors else { return nil }
    let columns = try sizes(ofColumns: readers)
    let typical = columns.sorted()[columns.count / 2]
    guard typical > 0, typical.isFinite else { return nil }
    var sizes = [Float](repeating: 0, count: factors.count)
    for column in columns.indices {
      sizes[source(column)] = max(sizes[source(column)], columns[column] / typical)
    }
    let kept = zip(factors, sizes).map { factor, size -> Float in
      size > 0 && abs(log2(size / factor)) < abs(log2(size)) - 1 ? factor : 1
    }
    return kept.contains { $0 != 1 } ? kept : nil
  }

  /// √Σ x² of each element over some vectors, those that there are.
  private func sizes(ofVectors names: [String]) throws(CheckpointError) -> [Float] {
    var squares: [Float] = []
    for tensor in tensors where names.contains(tensor.name) {
      let values = try tensor.values(rows: 0..<1)
      squares = squares.isEmpty ? values.map { $0 * $0 } : zip(squares, values).map { $0 + $1 * $1 }
    }
    return squares.isEmpty ? [0] : squares.map { $0.squareRoot() }
  }

  /// √Σ w² of each row.
  private func sizes(ofRows name: String) throws(CheckpointError) -> [Float] {
    guard let tensor = tensors.first(where: { $0.name == name }) else { return [0] }
    var sizes: [Float] = []
    for first in stride(from: 0, to: tensor.rows, by: tensor.preferredRowCount) {
      let rows = first..<min(first + tensor.preferredRowCount, tensor.rows)
      let values = try tensor.values(rows: rows)
      for row in 0..<rows.count {
        var sum: Float = 0
        for column in row * tensor.columns..<(row + 1) * tensor.columns {
          sum += values[column] * values[column]
        }
        sizes.append(sum.squareRoot())
      }
    }
    return sizes
  }
}

extension Checkpoint {
  /// √Σ w² of each column over some matrices of one width.
  fileprivate func sizes(ofColumns names: [String]) throws(CheckpointError) -> [Float] {
    var squares: [Float] = []
    for tensor in tensors where names.contains(tensor.name) {
      if squares.isEmpty { squares = Array(repeating: 0, count: tensor.columns) }
      for first in stride(from: 0, to: tensor.rows, by: tensor.preferredRowCount) {
        let rows = first..<min(first + tensor.preferredRowCount, tensor.rows)
        let values = try tensor.values(rows: rows)
        for row in 0..<rows.count {
          for column in 0..<tensor.columns {
            let value = values[row * tensor.columns + column]
            squares[column] += value * value
          }
        }
      }
    }
    return squares.map { $0.squareRoot() }
  }
}

extension CheckpointTensor {
  fileprivate func values(rows: Range<Int>) throws(CheckpointError) -> [Float] {
    let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: rows.count * columns)
    defer { buffer.deallocate() }
    try read(rows: rows, into: buffer)
    return Array(buffer)
  }

  /// Multiplies rows that were read by their factors.
  func applyScaling(_ rows: Range<Int>, _ values: UnsafeMutableBufferPointer<Float>) {
    guard let scaling else { return }
    for (index, row) in rows.enumerated() {
      let factor = scaling.rows?[row] ?? 1
      let start = index * columns
      if let factors = scaling.columns {
        for column in 0..<columns { values[start + column] *= factor * factors[column] }
      } else if factor != 1 {
        for column in 0..<columns { values[start + column] *= factor }
      }
    }
  }
}
