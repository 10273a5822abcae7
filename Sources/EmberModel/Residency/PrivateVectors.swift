import EmberFormat

/// The norms and biases of a model, copied out of its file.
///
/// They are small, but they lie among the matrices: where a page of the mapping is touched, the system
/// may map up to 2 MB around it, which a memory budget must not leave to chance.
final class PrivateVectors: Sendable {
  private let memory: PrivateMemory
  /// First byte of each, by name.
  private let places: [String: Int]

  /// - Throws: `ModelError.outOfMemory`, `.reading`
  init(of file: ModelFile) throws(ModelError) {
    let vectors = file.tensors.filter { $0.layout.type == .f32 && $0.layout.rows == 1 }
    var places: [String: Int] = [:]
    var end = 0
    for vector in vectors {
      places[vector.name] = end
      // No overflow: they lie in the file one after the other, at multiples of 64 as well.
      end += (vector.byteCount + 63) / 64 * 64
    }
    do {
      memory = try PrivateMemory(byteCount: end)
    } catch {
      throw .outOfMemory(bytes: end, purpose: "norms and biases")
    }
    self.places = places
    do throws(FormatError) {
      for vector in vectors {
        let start = places[vector.name] ?? 0
        try file.read(into: memory.bytes(start..<start + vector.byteCount), at: vector.offset)
      }
    } catch {
      throw .reading(error)
    }
  }

  /// The numbers of a vector; valid while this lives.
  subscript(name: String) -> UnsafePointer<Float>? {
    // Aligned to 64 bytes, and filled before anybody has a reference.
    places[name].map { UnsafePointer((memory.address + $0).assumingMemoryBound(to: Float.self)) }
  }
}
