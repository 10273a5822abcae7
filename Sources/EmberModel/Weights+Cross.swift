import EmberKernels

extension Weights {
  /// A decoder layer's attention to the source.
  package struct Cross: @unchecked Sendable {
    /// Of what the block is given, and of the stream behind it.
    package let norm, sumNorm: Norm?
    /// Computed for every token.
    package private(set) var query, output: Linear
    /// Computed once for a source.
    package private(set) var key, value: Linear
  }

  /// Those of all layers; empty where there is no encoder.
  static func cross<Source: WeightSource>(
    of a: Architecture, from source: Source
  ) throws(Source.Failure) -> [Cross] {
    guard a.encoder != nil else { return [] }
    var result: [Cross] = []
    for layer in 0..<a.layerCount { result.append(try Cross(layer, of: a, from: source)) }
    return result
  }

  /// [buckets][headCount]; nil where positions are something else.
  static func relativeBias<Source: WeightSource>(
    of a: Architecture, from source: Source
  ) throws(Source.Failure) -> UnsafePointer<Float>? {
    guard case .relativeBias(let buckets, _) = a.position else { return nil }
    // Both are at most 2^16.
    return try source.vector(TensorName.relativeBias, count: buckets * a.attention.headCount)
  }
}

extension Weights.Cross {
  init<Source: WeightSource>(
    _ index: Int, of a: Architecture, from source: Source
  ) throws(Source.Failure) {
    let queryWidth = a.attention.headCount * a.attention.headDimension
    let keyWidth = a.attention.keyValueHeadCount * a.attention.headDimension
    func norm(_ norm: TensorName.CrossNorm) throws(Source.Failure) -> Weights.Norm? {
      try Weights.Norm(
        TensorName.weight(crossNorm: norm, layer: index),
        bias: TensorName.bias(crossNorm: norm, layer: index), of: a, from: source)
    }
    func linear(
      _ matrix: TensorName.CrossMatrix, _ rows: Int, _ columns: Int
    ) throws(Source.Failure) -> Weights.Linear {
      Weights.Linear(
        weight: try source.matrix(
          TensorName.weight(cross: matrix, layer: index), rows: rows, columns: columns),
        bias: try source.optionalVector(TensorName.bias(cross: matrix, layer: index), count: rows))
    }
    self.init(
      norm: try norm(.attention), sumNorm: try norm(.sum),
      query: try linear(.query, queryWidth, a.width),
      output: try linear(.output, a.width, queryWidth),
      key: try linear(.key, keyWidth, a.width),
      value: try linear(.value, keyWidth, a.width))
  }

  /// Bytes that every decoded token reads.
  var readerBytes: Int {
    [query, output].reduce(0) {
      $0 + $1.weight.byteCount + ($1.bias == nil ? 0 : $1.weight.rows * 4)
    }
  }

  /// Takes the slices of what every token reads, in the order of the pass.
  mutating func placeReaders(in slices: inout IndexingIterator<[Range<Int>]>) {
    query.slices = slices.next() ?? 0..<0
    output.slices = slices.next() ?? 0..<0
  }

  /// Takes the slices of what makes keys and values.
  mutating func placeMakers(in slices: inout IndexingIterator<[Range<Int>]>) {
    key.slices = slices.next() ?? 0..<0
    value.slices = slices.next() ?? 0..<0
  }
}

extension Weights {
  /// An encoder's weights, to be found in slices: its layers, then what makes keys and values.
  func slicedEncoder(_ slices: [Range<Int>], of encoder: Architecture) -> Weights {
    var result = self
    var next = slices.makeIterator()
    for i in result.layers.indices {
      for matrix in TensorName.Matrix.inOrderOfUse(encoder) {
        result.layers[i].place(matrix, in: &next)
      }
    }
    for i in result.cross.indices { result.cross[i].placeMakers(in: &next) }
    return result
  }
}

/// The encoder's tensors, under the names of the decoder's.
struct EncoderSource<Base: WeightSource>: WeightSource {
  let base: Base

  func matrix(_ name: String, rows: Int, columns: Int) throws(Base.Failure) -> Matrix {
    try base.matrix(TensorName.encoder(name), rows: rows, columns: columns)
  }

  func vector(_ name: String, count: Int) throws(Base.Failure) -> UnsafePointer<Float> {
    try base.vector(TensorName.encoder(name), count: count)
  }

  func optionalVector(
    _ name: String, count: Int
  ) throws(Base.Failure) -> UnsafePointer<Float>? {
    try base.optionalVector(TensorName.encoder(name), count: count)
  }
}
