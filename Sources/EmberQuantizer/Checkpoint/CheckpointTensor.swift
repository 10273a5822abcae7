/// One tensor of a checkpoint: a matrix of [outputs, inputs], or a vector as a single row.
///
/// ```swift
/// let rows = 0..<min(tensor.preferredRowCount, tensor.rows)
/// let block = UnsafeMutableBufferPointer<Float>.allocate(capacity: rows.count * tensor.columns)
/// defer { block.deallocate() }
/// try tensor.read(rows: rows, into: block)
/// ```
public struct CheckpointTensor: Sendable {
  /// Its canonical name, one of `TensorName`'s.
  public let name: String
  /// Outputs; 1 for a vector.
  public let rows: Int
  /// Inputs, or the length of a vector.
  public let columns: Int
  /// What the checkpoint calls it; three tensors may be parts of one stored tensor.
  public let storedName: String
  var storage: StoredMatrix
  /// What reading adds to every element, before any factor.
  var addend: Float = 0
  /// Factors that reading applies.
  var scaling: TensorScaling?

  /// The element type in the checkpoint, such as F32, BF16 or Q4_K.
  public var storedType: String { storage.type.rawValue }

  /// How many rows to read at once: about four million bytes of floats, in multiples of 16.
  ///
  /// Any other number works too. A transposed weight (GPT-2's) costs at least one system call
  /// per column and block where rows are long, so much smaller blocks make it slow.
  public var preferredRowCount: Int {
    let count = (4 << 20) / (4 * columns)
    return min(rows, max(16, count / 16 * 16))
  }

  /// Reads rows as floats, row-major, [rows.count, columns]. Thread-safe.
  ///
  /// Besides `buffer` it needs a staging buffer of about half a megabyte (up to the size of
  /// `buffer` itself for a transposed weight of very long rows).
  ///
  /// - Parameters:
  ///   - rows: within `0..<self.rows`.
  ///   - buffer: of at least `rows.count * columns` elements; more are left alone.
  /// - Throws: `.notFinite` if a weight is infinite or not a number, `.unreadable` or
  ///   `.endedEarly` if the file no longer gives what it had when it was opened.
  public func read(
    rows: Range<Int>, into buffer: UnsafeMutableBufferPointer<Float>
  ) throws(CheckpointError) {
    precondition(rows.lowerBound >= 0 && rows.upperBound <= self.rows, "rows out of range")
    let count = rows.count * columns
    precondition(buffer.count >= count, "the buffer is too small for these rows")
    try storage.read(rows: rows, into: buffer)
    let values = UnsafeBufferPointer(rebasing: buffer[..<count])
    if let index = UnsafeWeightConversion.firstNotFinite(values) {
      throw .notFinite(
        path: storage.file.path, tensor: name, storedAs: storedName,
        row: rows.lowerBound + index / columns, column: index % columns,
        value: values[index].isNaN ? "NaN" : "infinity")
    }
    if addend != 0 {
      for index in 0..<count { buffer[index] += addend }
    }
    applyScaling(rows, buffer)
  }
}
