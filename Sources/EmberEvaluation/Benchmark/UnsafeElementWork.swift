import CKernels
import EmberGeneration
import EmberKernels

/// What is done to vectors between the products, over and over, on one thread: 4096 floats in the
/// cache.
final class ElementWork: KernelWork {
  enum Operation: CaseIterable {
    case rootMeanSquareNorm, layerNorm, softmax, swiGLU, quantizeOne, quantizeMany,
      rotateHalves, rotateAdjacent
  }

  let name: String
  let place = KernelOperands.cache
  let bytes: Int
  let operations = 0
  let arithmetic = ArithmeticPeak.Kind.f32
  let isThreaded = false

  private static let width = 4096
  private static let headDimension = 128

  private let operation: Operation
  private let inputs: Activations
  /// [width] each: what is changed in place, all ones, and what is written.
  private let values: UnsafeMutablePointer<Float>
  private let ones: UnsafeMutablePointer<Float>
  private let output: UnsafeMutablePointer<Float>

  init(_ operation: Operation) {
    self.operation = operation
    let (words, vectors) =
      switch operation {
      case .rootMeanSquareNorm: ("RMS norm", 2)
      case .layerNorm: ("layer norm", 3)
      case .softmax: ("softmax", 2)
      case .swiGLU: ("SwiGLU", 3)
      case .quantizeOne: ("activation codes, 1 token", 1)
      case .quantizeMany: ("activation codes, 16 tokens", 16)
      case .rotateHalves: ("rotary, halves of heads of 128", 1)
      case .rotateAdjacent: ("rotary, adjacent pairs in heads of 128", 1)
      }
    let width = Self.width
    name = "\(words), \(width)"
    bytes = vectors * width * 4
    values = .aligned(width)
    ones = .aligned(width)
    output = .aligned(width)
    let tokens = operation == .quantizeMany ? 16 : 1
    inputs = Activations(tokens: tokens, columns: width)
    inputs.tokens = tokens
    var random = SplitMix64(seed: 5)
    for i in 0..<width {
      // What SiLU leaves as it is: x · σ(x) is x from 20 on. So repeating changes nothing.
      values[i] = 20 + Float(random.nextUnit())
    }
    for token in 0..<tokens {
      for i in 0..<width { inputs.vector(token)[i] = Float(random.nextUnit()) - 0.5 }
    }
    ones.initialize(repeating: 1, count: width)
    output.initialize(repeating: 0, count: width)
    // A turn by no angle, so that repeating changes nothing: cosines of 1, sines of 0.
    for i in 0..<Self.headDimension / 2 { output[i] = 1 }
  }

  deinit {
    values.deallocate()
    ones.deallocate()
    output.deallocate()
  }

  func run(_ team: ThreadTeam, _ kernels: Kernels) {
    let (table, width) = (kernels.table, Self.width)
    switch operation {
    case .rootMeanSquareNorm: table.rms_norm(values, ones, 1e-5, width, output)
    case .layerNorm: table.layer_norm(values, ones, ones, 1e-5, width, output)
    case .softmax:
      // In place: from the second time on all is e⁰ to e⁻¹ of the largest, nothing vanishes.
      let sum = table.exponentials(values, table.maximum(values, width), width)
      output[0] = sum
    case .swiGLU:
      table.silu(values, width)
      table.multiply_elements(values, ones, width)
    case .rotateHalves, .rotateAdjacent:
      let halves: Int32 = operation == .rotateHalves ? 1 : 0
      for head in stride(from: 0, to: width, by: Self.headDimension) {
        table.rotate(values + head, output, Self.headDimension / 2, halves)
      }
    case .quantizeOne, .quantizeMany: inputs.quantize(tile: 0, kernels: kernels)
    }
  }
}
