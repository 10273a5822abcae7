import Dispatch
import EmberFormat
import EmberKernels

/// The experts of a model that is larger than its memory: as many as there are slots for stay, the
/// others are read when a router chooses them.
///
/// Nobody knows before which they will be, so nothing is read ahead of the routing; but all that a
/// layer needs is then asked for at once, and later experts are read while earlier ones are computed.
///
/// What cannot be read does not stop a step, which has no way to fail in its middle: the step goes on
/// over whatever the slot holds, and the session throws `failure` before anybody sees a result.
final class ExpertStore: @unchecked Sendable {
  // Sendable because everything that changes is in `ExpertSlots`.

  let slotCount: Int
  private let slots: ExpertSlots
  private let threads = DispatchGroup()
  private let expertsPerLayer: Int
  /// Held for its bytes.
  private let memory: PrivateMemory

  /// Takes the memory; nothing is read yet.
  ///
  /// - Parameter slots: at least as many as a token is given to in a layer.
  /// - Throws: `ModelError.outOfMemory`
  init(_ inventory: WeightInventory, of file: ModelFile, slots: Int) throws(ModelError) {
    slotCount = max(slots, inventory.usedExperts)
    expertsPerLayer = inventory.expertsPerLayer
    let slotBytes = ExpertPlaces.slotBytes(inventory)
    // No overflow: the largest expert is part of the file, and there are no more slots than experts
    // but for the few that a token needs.
    let bytes = slotCount * slotBytes
    do {
      memory = try PrivateMemory(byteCount: bytes)
    } catch {
      throw .outOfMemory(bytes: bytes, purpose: "experts")
    }
    self.slots = ExpertSlots(
      file: UncachedFile(file), places: inventory.experts.map { ExpertPlaces($0) }, memory: memory,
      slots: slotCount, slotBytes: slotBytes, expertsPerLayer: expertsPerLayer,
      usedExperts: inventory.usedExperts)
    for _ in 0..<WeightStream.readers {
      // A serial queue of its own: it has a thread however busy Dispatch's pool is with computing.
      DispatchQueue(label: "ember.expert-store").async(group: threads) { [slots = self.slots] in
        slots.run()
      }
    }
  }

  deinit {
    slots.stop()
    threads.wait()
  }

  /// Asks for the experts of a layer, in the order in which they are computed; those of the layer
  /// before are done with.
  func request(_ experts: UnsafeBufferPointer<Int32>, layer: Int) {
    slots.request(experts, layer: layer)
  }

  /// The expert that was asked for as number i, where it is now, as soon as it is there.
  ///
  /// - Parameter expert: its shapes.
  func wait(for i: Int, _ expert: Weights.Expert) -> Weights.Expert {
    let (slot, places) = slots.wait(for: i)
    func matrix(_ matrix: Matrix, _ place: Int) -> Matrix {
      Matrix(
        type: matrix.type, rows: matrix.rows, columns: matrix.columns,
        outlierSteps: matrix.outlierSteps, data: UnsafeRawPointer(slot + place))
    }
    return Weights.Expert(
      gate: matrix(expert.gate, places.gate), up: matrix(expert.up, places.up),
      down: matrix(expert.down, places.down))
  }

  /// Number i and those before it are done with.
  func release(through i: Int) { slots.release(through: i) }

  var statistics: ExpertStatistics { slots.statistics }
  var failure: FormatError? { slots.failure }
}
