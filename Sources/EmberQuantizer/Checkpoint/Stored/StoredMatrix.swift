/// Where and how a file stores a matrix of [rows, columns].
struct StoredMatrix: Sendable {
  /// How elements follow each other.
  enum Layout: Sendable, Equatable {
    /// Row after row.
    case rowMajor
    /// Column after column, each column being a part of a longer one of `stride` elements: what
    /// a transposed weight of [inputs, outputs] is, of which `rows` of `stride` outputs are ours.
    case columnMajor(stride: Int)
    /// Row after row in parts of `length` elements, each beginning `stride` elements after the one
    /// before: what one matrix has of a tensor that holds several, head by head.
    case parts(length: Int, stride: Int)
  }

  let file: CheckpointFile
  /// Of the first element, from the file's start. All elements lie within the file.
  let offset: Int
  let type: StoredType
  var layout: Layout
  let columns: Int
  /// Where the scales of `.int8` elements are.
  var groupScales: GroupScales?

  /// A binary32 for each `groupSize` elements in the order of the file, and so not of rows.
  struct GroupScales: Sendable {
    let offset: Int
    let groupSize: Int
  }

  /// Reads `rows` into `output`, [rows.count, columns].
  func read(
    rows: Range<Int>, into output: UnsafeMutableBufferPointer<Float>
  ) throws(CheckpointError) {
    switch layout {
    case .rowMajor:
      try readElements(rows.lowerBound * columns, count: rows.count * columns, into: output)
    case .columnMajor(let stride): try readColumns(rows, stride: stride, into: output)
    case .parts(let length, let stride):
      var element = rows.lowerBound * columns
      let end = rows.upperBound * columns
      var target = output
      while element < end {
        let (part, inside) = element.quotientAndRemainder(dividingBy: length)
        let count = min(length - inside, end - element)
        try readElements(part * stride + inside, count: count, into: target)
        element += count
        target = UnsafeMutableBufferPointer(rebasing: target[count...])
      }
    }
  }

  /// Bytes of the buffer between file and conversion.
  private static let stagingBytes = 512 << 10

  /// Reads elements that follow each other: whole rows or parts, and so whole blocks.
  private func readElements(
    _ first: Int, count: Int, into output: UnsafeMutableBufferPointer<Float>
  ) throws(CheckpointError) {
    let start = offset + first / type.blockElements * type.blockBytes
    guard type != .float32 else {
      let target = UnsafeMutableBufferPointer(rebasing: output[..<count])
      return try file.read(at: start, into: UnsafeMutableRawBufferPointer(target))
    }
    let staging = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(Self.stagingBytes, count / type.blockElements * type.blockBytes),
      alignment: 64)
    defer { staging.deallocate() }
    let blocks = count / type.blockElements
    var done = 0
    while done < blocks {
      let step = min(blocks - done, staging.count / type.blockBytes)
      let part = UnsafeMutableRawBufferPointer(rebasing: staging[..<(step * type.blockBytes)])
      try file.read(at: start + done * type.blockBytes, into: part)
      UnsafeWeightConversion.convert(
        UnsafeRawBufferPointer(part), of: type,
        into: UnsafeMutableBufferPointer(
          rebasing: output[(done * type.blockElements)..<((done + step) * type.blockElements)]))
      done += step
    }
    if let groupScales {
      try multiply(output, of: first, count: count, by: groupScales)
    }
  }

  /// Multiplies the elements from number `first` on, of which there are `count`, by their scales.
  private func multiply(
    _ output: UnsafeMutableBufferPointer<Float>, of first: Int, count: Int, by scales: GroupScales
  ) throws(CheckpointError) {
    guard count > 0 else { return }
    let firstGroup = first / scales.groupSize
    let groups = (first + count - 1) / scales.groupSize - firstGroup + 1
    let factors = UnsafeMutableBufferPointer<Float>.allocate(capacity: groups)
    defer { factors.deallocate() }
    try file.read(
      at: scales.offset + firstGroup * MemoryLayout<Float>.size,
      into: UnsafeMutableRawBufferPointer(factors))
    for index in 0..<count {
      output[index] *= factors[(first + index) / scales.groupSize - firstGroup]
    }
  }

  /// Reads a panel of a transposed matrix: the elements `rows` of each stored column.
  ///
  /// Where the gap between one column's elements and the next is less than a page, the disk would
  /// fetch it anyway and a system call costs more than copying it: many columns are read at once,
  /// gaps included. Otherwise one read per column. Either way the staging memory is bounded, and
  /// the number of reads is at most the number of columns.
  private func readColumns(
    _ rows: Range<Int>, stride: Int, into output: UnsafeMutableBufferPointer<Float>
  ) throws(CheckpointError) {
    guard !rows.isEmpty else { return }
    let run = rows.count
    // Blocks are never transposed.
    let size = type.blockBytes
    let readsThroughGaps = (stride - run) * size < 4096
    // How many stored columns pass through the staging memory together. A column longer than the
    // staging memory is a block of rows that the caller already holds four bytes each of.
    let pitch = readsThroughGaps ? stride : run
    let group = max(1, min(columns, Self.stagingBytes / (pitch * size)))
    let staging = UnsafeMutableRawBufferPointer.allocate(
      byteCount: group * pitch * size, alignment: 64)
    defer { staging.deallocate() }
    let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: group * pitch)
    defer { values.deallocate() }
    values.initialize(repeating: 0)

    var column = 0
    while column < columns {
      let step = min(group, columns - column)
      let start = offset + (column * stride + rows.lowerBound) * size
      let elements = (step - 1) * pitch + run
      if readsThroughGaps {
        let part = UnsafeMutableRawBufferPointer(rebasing: staging[..<(elements * size)])
        try file.read(at: start, into: part)
      } else {
        for index in 0..<step {
          let at = index * run * size
          let part = UnsafeMutableRawBufferPointer(
            rebasing: staging[at..<(at + run * size)])
          try file.read(at: start + index * stride * size, into: part)
        }
      }
      UnsafeWeightConversion.convert(
        UnsafeRawBufferPointer(rebasing: staging[..<(elements * size)]), of: type,
        into: UnsafeMutableBufferPointer(rebasing: values[..<elements]))
      transpose(values, pitch: pitch, step: step, run: run, into: output, at: column)
      column += step
    }
  }

  /// output[row, column + index] = values[index, row], sixteen columns at a time: that fills a
  /// cache line of the output with each visit.
  private func transpose(
    _ values: UnsafeMutableBufferPointer<Float>, pitch: Int, step: Int, run: Int,
    into output: UnsafeMutableBufferPointer<Float>, at column: Int
  ) {
    var first = 0
    while first < step {
      let last = min(first + 16, step)
      for row in 0..<run {
        let target = row * columns + column
        for index in first..<last { output[target + index] = values[index * pitch + row] }
      }
      first = last
    }
  }
}
