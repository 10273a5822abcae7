import EmberKernels
import EmberQuantizer
import Testing

/// Sums of products against a naive double loop.
struct CalibrationMomentsTests {
  /// Vectors with a large column among small ones, [tokens][stride].
  private static func vectors(_ tokens: Int, _ columns: Int, stride: Int) -> [Float] {
    var random = RandomFloats(seed: UInt64(tokens * 1000 + columns))
    return (0..<tokens * stride).map { index in
      // What lies behind the last column must not be read as a part of the vector.
      if index % stride >= columns { return 1e9 }
      return random.next() * (index % stride == columns / 2 ? 64 : 1)
    }
  }

  private static func accumulate(
    _ x: [Float], tokens: [Int], columns: Int, stride: Int, detail: SecondMoments.Detail,
    threads: Int
  ) -> SecondMoments {
    let sums = MomentAccumulator(columns: columns, detail: detail)
    let team = ThreadTeam(
      threadCount: threads, phaseCapacity: MomentAccumulator.phaseCapacity)
    x.withUnsafeBufferPointer { x in
      guard var place = x.baseAddress else { return }
      for count in tokens {
        sums.add(place, stride: stride, tokens: count, team: team)
        place += count * stride
      }
    }
    return sums.moments()
  }

  @Test(arguments: [1, 2, 15, 16, 17, 33, 100], [[1], [5, 1], [300], [512, 3]])
  func full(columns: Int, tokens: [Int]) throws {
    let (total, stride) = (tokens.reduce(0, +), columns + 3)
    let x = Self.vectors(total, columns, stride: stride)
    let moments = Self.accumulate(
      x, tokens: tokens, columns: columns, stride: stride, detail: .full, threads: 2)
    #expect(moments.tokenCount == total && moments.columns == columns)
    #expect(moments.products?.count == columns * (columns + 1) / 2)
    let matrix = try #require(moments.squareMatrix())
    for row in 0..<columns {
      var largest: Float = 0
      for t in 0..<total { largest = max(largest, abs(x[t * stride + row])) }
      #expect(moments.maxima[row] == largest)
      for column in 0..<columns {
        var sum = 0.0
        for t in 0..<total {
          sum += Double(x[t * stride + row]) * Double(x[t * stride + column])
        }
        let scale = (moments.squares[row] * moments.squares[column]).squareRoot()
        #expect(abs(Double(moments.product(row, column)) - sum) <= 2e-6 * scale)
        #expect(matrix[row * columns + column] == moments.product(row, column))
        if row == column {
          #expect(abs(moments.squares[row] - sum) <= 2e-6 * sum)
          #expect(moments.product(row, row) == Float(moments.squares[row]))
        }
      }
    }
    let diagonal = Self.accumulate(
      x, tokens: tokens, columns: columns, stride: stride, detail: .diagonal, threads: 1)
    #expect(diagonal.squares == moments.squares && diagonal.maxima == moments.maxima)
    #expect(diagonal.products == nil && diagonal.squareMatrix() == nil)
    #expect(diagonal.product(0, columns - 1) == (columns == 1 ? moments.product(0, 0) : 0))
  }

  /// All kernels give the same bits, in blocks of the diagonal and beside it.
  @Test(arguments: [1, 3, 64, 255, 256, 257])
  func kernelsAgree(tokens: Int) {
    let x = Self.vectors(tokens, 50, stride: 50)
    let team = ThreadTeam(threadCount: 1, phaseCapacity: MomentAccumulator.phaseCapacity)
    let results = UnsafeMomentKernel.available.map { kernel in
      let sums = MomentAccumulator(columns: 50, detail: .full, kernel: kernel)
      x.withUnsafeBufferPointer { x in
        guard let base = x.baseAddress else { return }
        sums.add(base, stride: 50, tokens: tokens, team: team)
      }
      return sums.moments()
    }
    for result in results.dropFirst() { #expect(result == results[0]) }
    #expect(UnsafeMomentKernel.beside(.scalar).name == "portable")
    #expect(UnsafeMomentKernel.beside(.best).name == UnsafeMomentKernel.available.last?.name)
  }

  @Test func threadsDoNotMatter() {
    let x = Self.vectors(700, 130, stride: 130)
    let results = [1, 2, 3, 8].map { threads in
      Self.accumulate(
        x, tokens: [700], columns: 130, stride: 130, detail: .full, threads: threads)
    }
    for result in results.dropFirst() { #expect(result == results[0]) }
  }

  @Test func mergingIsAddingUp() throws {
    let x = Self.vectors(512, 37, stride: 37)
    func moments(_ range: Range<Int>, _ tokens: [Int]) -> SecondMoments {
      Self.accumulate(
        Array(x[range.lowerBound * 37..<range.upperBound * 37]), tokens: tokens, columns: 37,
        stride: 37, detail: .full, threads: 2)
    }
    let both = moments(0..<512, [256, 256])
    var sum = moments(0..<256, [256])
    let second = moments(256..<512, [256])
    try sum.merge(second)
    #expect(sum.tokenCount == 512)
    #expect(sum.squares == both.squares && sum.maxima == both.maxima)
    for row in 0..<37 {
      for column in 0..<37 {
        let scale = Float((both.squares[row] * both.squares[column]).squareRoot())
        #expect(abs(sum.product(row, column) - both.product(row, column)) <= 1e-6 * scale)
      }
    }
    let other = MomentAccumulator(columns: 37, detail: .diagonal).moments()
    #expect(throws: CalibrationError.differentDetail(expected: .full, found: .diagonal)) {
      try sum.merge(other)
    }
    let wider = MomentAccumulator(columns: 38, detail: .full).moments()
    let error = #expect(throws: CalibrationError.self) { try sum.merge(wider) }
    #expect(error?.description.contains("expected 37, found 38") == true)
  }

  @Test func featureColumns() {
    let x: [Float] = [0, 5.9, -6, 1, 7, 2, -1, 0]
    let moments = Self.accumulate(
      x, tokens: [2], columns: 4, stride: 4, detail: .diagonal, threads: 1)
    #expect(moments.featureColumns() == [0, 2])
    #expect(moments.featureColumns(threshold: 5.5) == [0, 1, 2])
  }

  /// A number that is not one must not be lost among maxima.
  @Test func notANumberIsKept() {
    let x: [Float] = [1, .nan, 2, 3, 4, 5]
    let moments = Self.accumulate(
      x, tokens: [3], columns: 2, stride: 2, detail: .diagonal, threads: 1)
    #expect(moments.maxima[0] == 4 && moments.maxima[1].isNaN)
    #expect(moments.squares[1].isNaN)
  }
}
