import CKernels

/// Causal attention with the online softmax, one score at a time.
enum ScalarAttention {
  static func attend(_ a: ember_attention) {
    let chunk = Int(EMBER_ATTENTION_CHUNK)
    for query in 0..<a.query_count {
      let visible = a.first_visible + query / a.heads_per_token
      var sums = [Float](repeating: 0, count: a.padded_dimension)
      var maximum = -Float.infinity
      var denominator: Float = 0
      for start in stride(from: 0, to: visible, by: chunk) {
        let count = min(chunk, visible - start)
        var scores = (0..<count).map { score(a, query: query, position: start + $0) }
        let old = maximum
        for score in scores where score > maximum { maximum = score }
        for i in 0..<count { scores[i] = ScalarMath.exponential(scores[i] - maximum) }
        var lanes = [Float](repeating: 0, count: 16)
        for i in 0..<count { lanes[i % 16] += scores[i] }
        let kept = ScalarMath.exponential(old - maximum)
        denominator = ScalarMath.fma(denominator, kept, ScalarMath.fold(lanes))
        for d in 0..<a.padded_dimension {
          var sum = sums[d] * kept
          for i in 0..<count {
            let value = Half.value(a.values[(start + i) * a.padded_dimension + d])
            sum = ScalarMath.fma(value, scores[i], sum)
          }
          sums[d] = sum
        }
      }
      for d in 0..<a.dimension { a.output[query * a.output_stride + d] = sums[d] / denominator }
    }
  }

  private static func score(_ a: ember_attention, query: Int, position: Int) -> Float {
    let keys = a.keys + position / 16 * a.dimension * 16 + position % 16
    var sum: Float = 0
    for d in 0..<a.dimension {
      sum = ScalarMath.fma(Half.value(keys[16 * d]), a.queries[query * a.query_stride + d], sum)
    }
    return sum
  }
}
