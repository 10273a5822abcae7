import EmberFormat
import EmberKernels
import Foundation

/// Converts one tensor: reads rows in blocks, encodes row groups side by side, hands on bytes.
struct MatrixConverter {
  let tensor: CheckpointTensor
  let type: BlockType
  /// How much an error in each input column matters; nil where all are alike.
  let importance: [Float]?
  /// Grouped types: what the weights rounded later make up for, if they are to.
  let feedback: ErrorFeedback?
  let threads: Int

  /// What encoding a tensor cost.
  struct Loss {
    var squaredError = 0.0
    var squaredWeights = 0.0
    var outlierCount = 0
    /// Σ importance · weight² of each row: how large its output is.
    var rowSquares: [Float] = []

    var relative: Float {
      squaredWeights == 0 ? 0 : Float((squaredError / squaredWeights).squareRoot())
    }

    static func += (a: inout Loss, b: Loss) {
      a.squaredError += b.squaredError
      a.squaredWeights += b.squaredWeights
      a.outlierCount += b.outlierCount
      a.rowSquares += b.rowSquares
    }
  }

  private var encoder: RowEncoder {
    RowEncoder(type: type, columns: tensor.columns, importance: importance)
  }

  /// Steps of outliers per row that gain more than their bytes would elsewhere.
  ///
  /// A step costs 32 bits per row. Spent as finer weights, they would divide a row's error by
  /// 4^(32 / columns), a bit per weight dividing it by 4. So step s is worth it where the gain of
  /// all rows' s-th outliers is larger than that share of the error that is left.
  func profitableOutlierSteps(
    limit: Int, advance: (Int) throws -> Void
  ) throws -> Int {
    let worth = Self.outlierPrice * (1 - powerOfFour(-32 / Float(tensor.columns)))
    var gains = [Double](repeating: 0, count: limit)
    var error = 0.0
    try forEachBlock(advance: advance) { rows, values in
      let parts = concurrently(rows.count) { range -> (Double, [Double]) in
        let encoder = self.encoder
        var gains = [Double](repeating: 0, count: limit)
        var error = 0.0
        for row in range {
          encoder.load(values + row * tensor.columns)
          error += Double(encoder.error)
          for step in 0..<limit {
            // A row stops where its own gain is half of what would pay; others may go on.
            let least = 0.5 * worth * encoder.error
            guard let gain = encoder.takeOutlier(gainingAtLeast: least) else { break }
            gains[step] += Double(gain)
          }
        }
        return (error, gains)
      }
      for part in parts {
        error += part.0
        for step in 0..<limit { gains[step] += part.1[step] }
      }
    }
    var steps = 0
    for gain in gains {
      if !(gain > Double(worth) * error) { break }
      error -= gain
      steps += 1
    }
    return steps
  }

  /// How much more than its bytes would gain elsewhere an outlier has to gain: they could go to the
  /// matrices that need them most.
  private static let outlierPrice: Float = 2

  /// Encodes the tensor and hands its bytes to `write`, in order.
  func encode(
    layout: TensorLayout, advance: (Int) throws -> Void,
    write: (UnsafeRawBufferPointer) throws -> Void
  ) throws -> Loss {
    var total = Loss()
    try forEachBlock(advance: advance) { rows, values in
      let groups = (rows.count + 15) / 16
      let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: groups * layout.rowGroupStride)
      defer { bytes.deallocate() }
      let parts = concurrently(groups) { range -> Loss in
        var loss = Loss()
        let encoder = self.encoder
        let together = feedback.flatMap {
          FeedbackRows(
            type: type, columns: tensor.columns, importance: importance, feedback: $0)
        }
        for group in range {
          let writer = RowGroupWriter(layout: layout, bytes: bytes + group * layout.rowGroupStride)
          writer.clear()
          let first = values + 16 * group * tensor.columns
          together?.encode(
            first, count: min(16, rows.count - 16 * group), steps: layout.outlierSteps)
          for lane in 0..<min(16, rows.count - 16 * group) {
            let row = 16 * group + lane
            let weights = values + row * tensor.columns
            if layout.type == .f16 {
              writer.write(halves: weights, lane: lane)
            } else if let together {
              writer.write(together.rows[lane], lane: lane)
              loss.outlierCount += together.rows[lane].outliers.count
            } else {
              encoder.encode(weights, steps: layout.outlierSteps)
              writer.write(encoder, lane: lane)
              loss.outlierCount += encoder.outliers.count
            }
            measure(weights, together?.rows[lane] ?? encoder, into: &loss)
          }
        }
        return loss
      }
      for part in parts { total += part }
      try write(UnsafeRawBufferPointer(start: bytes, count: groups * layout.rowGroupStride))
    }
    return total
  }

  /// Adds what a row lost; the importance of columns plays no part in what is reported.
  private func measure(
    _ weights: UnsafePointer<Float>, _ encoder: RowEncoder, into loss: inout Loss
  ) {
    var error: Float = 0
    var size: Float = 0
    var output: Float = 0
    for column in 0..<tensor.columns {
      let weight = weights[column]
      size += weight * weight
      output += weight * weight * (importance?[column] ?? 1)
      if type == .f16 {
        let lost = weight - Half.value(Half.bits(weight))
        error += lost * lost
      }
    }
    if type != .f16 {
      // In order, so that an outlier's block is never squared by itself: it would drown the rest.
      let outliers = encoder.outliers.sorted { $0.column < $1.column }
      var next = 0
      for column in 0..<tensor.columns {
        var lost = weights[column] - encoder.blockValue(column)
        if next < outliers.count, outliers[next].column == column {
          lost -= Half.value(encoder.stored(outliers[next]))
          next += 1
        }
        error += lost * lost
      }
    }
    loss.rowSquares.append(output)
    loss.squaredError += Double(error)
    loss.squaredWeights += Double(size)
  }

  /// Reads the tensor in blocks of whole row groups.
  func forEachBlock(
    advance: (Int) throws -> Void,
    _ body: (Range<Int>, UnsafePointer<Float>) throws -> Void
  ) throws {
    let step = tensor.preferredRowCount
    let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: step * tensor.columns)
    defer { buffer.deallocate() }
    for first in stride(from: 0, to: tensor.rows, by: step) {
      let rows = first..<min(first + step, tensor.rows)
      try tensor.read(rows: rows, into: buffer)
      guard let base = buffer.baseAddress else { return }
      try refuseTooLarge(rows, UnsafePointer(base))
      try body(rows, UnsafePointer(base))
      try advance(rows.count * tensor.columns)
    }
  }

  /// A half ends at 65,504, and so does the scale that multiplies a block's integers.
  private func refuseTooLarge(
    _ rows: Range<Int>, _ values: UnsafePointer<Float>
  ) throws(QuantizerError) {
    let limit: Float =
      switch type {
      case .q4: 7 * 65_504
      case .q8: 127 * 65_504
      case .f16: 65_504
      // The sums over a row, Σ error², stay finite.
      case .f32, .q4n, .q5, .q6: 1e15
      }
    for index in 0..<rows.count * tensor.columns where abs(values[index]) > limit {
      throw .weightTooLarge(
        tensor: tensor.name, row: rows.lowerBound + index / tensor.columns,
        column: index % tensor.columns, value: values[index], limit: limit)
    }
  }

  /// `body` on parts of 0 ..< count, one part a piece of work; results in order, so that sums of
  /// them do not depend on the number of threads.
  func concurrently<T>(_ count: Int, _ body: (Range<Int>) -> T) -> [T] {
    let size = max(1, count / 32)
    let pieces = (count + size - 1) / size
    return withoutActuallyEscaping(body) { body in
      let results = PieceResults<T>(count: pieces)
      let work = UncheckedBody(body: body)
      let team = ThreadTeam(threadCount: threads, phaseCapacity: 1)
      team.step { worker in
        worker.phase(pieces: pieces) { piece in
          results.values[piece] = work.body(piece * size..<min(count, (piece + 1) * size))
        }
      }
      return results.values.compactMap { $0 }
    }
  }
}

/// A place for each piece's result.
private final class PieceResults<T>: @unchecked Sendable {
  // Sendable because each piece writes its own place, and reading comes after all of them.
  let values: UnsafeMutableBufferPointer<T?>

  init(count: Int) {
    values = .allocate(capacity: count)
    values.initialize(repeating: nil)
  }

  deinit {
    values.deinitialize()
    values.deallocate()
  }
}

/// Work that only reads what it shares.
private struct UncheckedBody<T>: @unchecked Sendable {
  // Sendable because the converter's closures write nothing but their own results.
  let body: (Range<Int>) -> T
}

/// 4^x
private func powerOfFour(_ x: Float) -> Float { Float(exp2(Double(2 * x))) }
