import EmberGeneration
import EmberKernels

/// A matrix with one weight in two hundred kept apart from its blocks, in random columns.
final class OutlierMatrix {
  let bytes: UnsafeRawBufferPointer
  private let memory: UnsafeMutableRawBufferPointer

  /// Steps of a row group.
  static func steps(columns: Int) -> Int { (columns + 199) / 200 }

  /// Its blocks are `source`'s, as far as that reaches.
  init(
    _ type: MatrixType, _ size: (rows: Int, columns: Int), copying source: UnsafeRawBufferPointer
  ) {
    let steps = Self.steps(columns: size.columns)
    let groups = size.rows / 16
    let dense = type.rowScaleBytes + size.columns / 64 * type.tileBytes
    let stride = dense + 64 * steps
    memory = .allocate(byteCount: groups * stride, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0)
    bytes = UnsafeRawBufferPointer(memory)
    var random = SplitMix64(seed: 4)
    for group in 0..<groups where (group + 1) * dense <= source.count {
      let start = group * stride
      UnsafeMutableRawBufferPointer(rebasing: memory[start..<start + dense]).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: source[group * dense..<(group + 1) * dense]))
      for lane in 0..<16 * steps {
        let place = start + dense + lane / 16 * 64 + lane % 16 * 2
        let column = UInt16(truncatingIfNeeded: random.next() % UInt64(size.columns))
        memory.storeBytes(of: column, toByteOffset: place, as: UInt16.self)
        let value = Half.bits(Float(random.nextUnit()) - 0.5)
        memory.storeBytes(of: value, toByteOffset: place + 32, as: UInt16.self)
      }
    }
  }

  deinit { memory.deallocate() }
}
