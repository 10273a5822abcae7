import CKernels
import EmberKernels
import Testing

@Suite("Selection among logits")
struct SelectionTests {
  static let lengths = [0, 1, 2, 15, 16, 17, 31, 32, 33, 172, 1000]

  /// What a selection may stumble over; no NaN.
  static let shapes: [(name: String, logit: @Sendable (Int, inout SplitMix) -> Float)] = [
    ("normal", { $1.normal() * 3 }),
    ("ties", { ($1.normal() * 2).rounded() }),
    ("all equal", { _, _ in -7.25 }),
    ("ascending", { i, _ in Float(i) / 8 - 3 }),
    ("descending", { i, _ in 3 - Float(i) / 8 }),
    ("zeros of both signs", { $1.normal() > 0 ? 0 : -0.0 }),
    ("forbidden", { $1.normal() > 0 ? -.infinity : $1.normal() }),
    ("extremes", { i, _ in extremes[i * 7 % extremes.count] }),
  ]
  static let extremes: [Float] = [
    .infinity, .greatestFiniteMagnitude, 1, .leastNormalMagnitude, .leastNonzeroMagnitude, 0, -0.0,
    -.leastNonzeroMagnitude, -.leastNormalMagnitude, -1, -.greatestFiniteMagnitude, -.infinity,
  ]

  static func withAll(_ body: (_ x: [Float], inout SplitMix, _ name: String) -> Void) {
    for (name, logit) in shapes {
      for n in lengths {
        var random = SplitMix(state: UInt64(n) + 77)
        let x = (0..<n).map { logit($0, &random) }
        body(x, &random, "\(name), n = \(n)")
      }
    }
  }

  /// 0 ... 1, the ends and what lies between two units too.
  static func weights(_ n: Int, _ random: inout SplitMix) -> [Float] {
    let special: [Float] = [0, 1, 0x1p-37, 0x1.8p-36, 0x1p-36, .leastNonzeroMagnitude]
    return (0..<n).map { i in
      i % 4 == 1 ? special[i / 4 % special.count] : min(1, abs(random.normal()) / 4)
    }
  }

  @Test("keys are in the order of the floats")
  func keys() {
    let ordered = Self.extremes.map(ScalarSelection.key)
    for (i, larger) in ordered.enumerated() {
      for (j, smaller) in ordered.enumerated().dropFirst(i + 1) {
        let areZeros = Self.extremes[i] == 0 && Self.extremes[j] == 0
        #expect(areZeros ? larger == smaller : larger > smaller)
      }
    }
    #expect(ScalarSelection.key(.nan) > ScalarSelection.key(.infinity))
  }

  @Test("units are whole, to the nearest, ties to even")
  func units() {
    #expect(ScalarSelection.units(0) == 0)
    #expect(ScalarSelection.units(1) == 1 << 36)
    #expect(ScalarSelection.units(0x1p-37) == 0)
    #expect(ScalarSelection.units(0x1.8p-36) == 2)
    #expect(ScalarSelection.units(0x1.8p-37) == 1)
    #expect(ScalarSelection.units(.leastNonzeroMagnitude) == 0)
  }

  @Test("the extremes are those of the standard library, with every table")
  func extremes() {
    Self.withAll { x, _, name in
      for kernels in Kernels.available {
        var (lowest, highest): (Float, Float) = (1, 1)
        let below = kernels.table.extremes?(x, x.count, &lowest, &highest)
        #expect(below == (x.contains(.infinity) ? 0 : 1), "\(kernels.name) \(name)")
        if below == 0 { continue }
        #expect(lowest == x.min() ?? .infinity, "\(kernels.name) \(name)")
        #expect(highest == x.max() ?? -.infinity, "\(kernels.name) \(name)")
      }
    }
    for place in [0, 3, 15, 16, 40] {
      var x = [Float](repeating: 1, count: 41)
      x[place] = .nan
      for kernels in Kernels.available {
        var (lowest, highest): (Float, Float) = (0, 0)
        #expect(kernels.table.extremes?(x, x.count, &lowest, &highest) == 0, "\(kernels.name)")
      }
    }
  }

  @Test("a range of keys selects what a filter does, with every table, in place too")
  func select() {
    Self.withAll { x, random, name in
      for round in 0..<6 {
        let ends = [random.normal(), random.normal()].map { Float($0) * 3 }.sorted()
        let inside = x.isEmpty ? 0 : x[round * 37 % x.count]
        let range: (Float, Float) =
          [
            (ends[0], ends[1]), (inside, inside), (inside, .infinity), (-.infinity, inside),
            (-.infinity, .infinity), (.infinity, .infinity),
          ][round]
        let places = x.indices.filter { x[$0] >= range.0 && x[$0] <= range.1 }
        let keys = (ScalarSelection.key(range.0), ScalarSelection.key(range.1))
        for kernels in Kernels.available {
          var ids = [Int32](repeating: -1, count: x.count)
          var kept = [Float](repeating: 0, count: x.count)
          var count = kernels.table.select_keys?(
            x, nil, 100, x.count, keys.0, keys.1, &ids, &kept)
          let comment = Comment(rawValue: "\(kernels.name) \(name), round \(round)")
          #expect(count == places.count, comment)
          #expect(ids.prefix(places.count).map { Int($0) } == places.map { $0 + 100 }, comment)
          #expect(
            kept.prefix(places.count).map(\.bitPattern) == places.map { x[$0].bitPattern }, comment)

          let numbers = x.indices.map { Int32(truncatingIfNeeded: $0 &* 0x9E37_79B9) }
          (ids, kept) = (numbers, x)
          ids.withUnsafeMutableBufferPointer { ids in
            kept.withUnsafeMutableBufferPointer { kept in
              guard let ids = ids.baseAddress, let kept = kept.baseAddress else { return }
              count = kernels.table.select_keys?(
                kept, ids, 0, x.count, keys.0, keys.1, ids, kept)
            }
          }
          #expect(count == places.count, comment)
          #expect(ids.prefix(places.count) == places.map { numbers[$0] }[...], comment)
          #expect(
            kept.prefix(places.count).map(\.bitPattern) == places.map { x[$0].bitPattern }, comment)
        }
      }
    }
  }

  @Test("weights are dropped, added up and counted alike by every table")
  func weights() {
    Self.withAll { x, random, name in
      let weights = Self.weights(x.count, &random)
      let limit = x.isEmpty ? 0 : x[x.count / 3]
      let units = weights.map(ScalarSelection.units)
      let lowest = x.map(ScalarSelection.key).min() ?? 0
      for kernels in Kernels.available {
        let comment = Comment(rawValue: "\(kernels.name) \(name)")
        var dropped = weights
        kernels.table.drop_below?(&dropped, x, limit, x.count)
        #expect(dropped == zip(weights, x).map { $1 >= limit ? $0 : 0 }, comment)
        #expect(kernels.table.sum_units?(weights, x.count) == units.reduce(0, +), comment)
        for shift: UInt32 in [0, 5, 21, 31] {
          var expected = [UInt64](repeating: 3, count: ScalarSelection.binCount)
          var (bins, unweighted) = (expected, expected)
          var expectedUnweighted = expected
          for i in x.indices {
            let digit = Int((ScalarSelection.key(x[i]) - lowest) >> shift) % 2048
            expected[4 * digit + i % 4] += units[i]
            expectedUnweighted[4 * digit + i % 4] += 1
          }
          kernels.table.count_keys?(x, weights, x.count, lowest, shift, &bins)
          kernels.table.count_keys?(x, nil, x.count, lowest, shift, &unweighted)
          #expect(bins == expected, comment)
          #expect(unweighted == expectedUnweighted, comment)
        }
      }
    }
  }
}
