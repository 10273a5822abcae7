import CKernels
import EmberKernels

/// A small generator with a seed, so that a failing case can be run again.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
  /// Roughly normal, mean 0, deviation 1.
  mutating func normal() -> Float {
    (0..<12).reduce(Float(-6)) { sum, _ in sum + Float.random(in: 0..<1, using: &self) }
  }
}

/// What the bytes of a random matrix hold.
enum Filling: CaseIterable {
  case random, allLowest, allHighest, denormalScales, zeroScales
}

/// A matrix of random bytes that are valid in its layout, and the memory that holds it.
final class RandomMatrix {
  let matrix: Matrix
  private let memory: UnsafeMutableRawPointer

  init(
    _ type: MatrixType, rows: Int, columns: Int, outlierSteps: Int = 0, filling: Filling = .random,
    misalignment: Int = 0, seed: UInt64
  ) {
    var random = SplitMix(state: seed)
    let tiles = (columns + 63) / 64
    let groups = (rows + 15) / 16
    let stride = type.rowScaleBytes + tiles * type.tileBytes + outlierSteps * 64
    memory = .allocate(byteCount: groups * stride + 64, alignment: 64)
    let base = memory + misalignment
    func half(_ offset: Int, _ value: Float) {
      base.storeBytes(of: Half.bits(value), toByteOffset: offset, as: UInt16.self)
    }
    for group in 0..<groups {
      for row in 0..<type.rowScaleBytes / 4 {
        let scale: Float =
          switch filling {
          case .denormalScales: .leastNonzeroMagnitude * Float.random(in: -9...9, using: &random)
          case .zeroScales: row % 2 == 0 ? 0 : -0
          default: 1e-4 * random.normal()
          }
        base.storeBytes(of: scale, toByteOffset: group * stride + 4 * row, as: Float.self)
      }
      for tile in 0..<tiles {
        let start = group * stride + type.rowScaleBytes + tile * type.tileBytes
        if type == .f16 {
          for i in 0..<1024 {
            let value: Float =
              switch filling {
              case .random: random.normal()
              case .allLowest: -65504
              case .allHighest: 65504
              case .denormalScales: 6e-8 * Float.random(in: -9...9, using: &random)
              case .zeroScales: 0
              }
            half(start + 2 * i, value)
          }
          continue
        }
        for i in 0..<type.rowScaleBytes {
          let scale: Int8 =
            switch filling {
            // A file may hold −128, though writers do not.
            case .allLowest: -128
            case .allHighest: 127
            case .zeroScales: 0
            default: Int8.random(in: -127...127, using: &random)
            }
          base.storeBytes(of: scale, toByteOffset: start + i, as: Int8.self)
        }
        for i in 0..<(type.rowScaleBytes == 0 ? 32 : 0) {
          let scale: Float =
            switch filling {
            case .denormalScales: 6e-8 * Float.random(in: 0...9, using: &random)
            case .zeroScales: 0
            default: 0.01 * random.normal()
            }
          half(start + 2 * i, scale)
        }
        for i in 64..<type.tileBytes {
          let byte: UInt8 =
            switch filling {
            case .allLowest: 0
            case .allHighest: 255
            default: UInt8.random(in: 0...255, using: &random)
            }
          base.storeBytes(of: byte, toByteOffset: start + i, as: UInt8.self)
        }
      }
      for step in 0..<outlierSteps {
        let start =
          group * stride + type.rowScaleBytes + tiles * type.tileBytes + 64 * step
        for lane in 0..<16 {
          let column = UInt16(Int.random(in: 0..<columns, using: &random))
          base.storeBytes(of: column, toByteOffset: start + 2 * lane, as: UInt16.self)
          half(start + 32 + 2 * lane, random.normal())
        }
      }
    }
    matrix = Matrix(
      type: type, rows: rows, columns: columns, outlierSteps: outlierSteps, data: base)
  }

  deinit { memory.deallocate() }
}

/// Activations of normal values; every `featureEvery`-th block has one value 64 times larger.
func randomActivations(
  tokens: Int, columns: Int, featureEvery: Int? = nil, transposes: Bool = true, seed: UInt64
) -> Activations {
  var random = SplitMix(state: seed)
  let activations = Activations(tokens: tokens, columns: columns, transposes: transposes)
  activations.tokens = tokens
  for token in 0..<tokens {
    for column in 0..<columns { activations.vector(token)[column] = random.normal() }
    if let featureEvery {
      for block in stride(from: token % featureEvery, to: (columns + 31) / 32, by: featureEvery) {
        activations.vector(token)[32 * block] *= 64
      }
    }
  }
  return activations
}
