import CKernels
import EmberKernels

/// A decoder's attention to the source.
extension ForwardPass {
  /// Keys and values of a source, of all layers of the decoder.
  struct Source {
    /// Unowned: the session that runs the step holds it, as it does those of the segments.
    unowned(unsafe) let cache: KeyValueCache
    /// Tokens of the source, at least 1.
    let length: Int
  }

  /// stream += output · attention(query · norm(stream)), and its norm where there is one.
  func attendSource(_ source: Source, _ layer: Int, _ worker: inout ThreadTeam.Worker) {
    let cross = weights.cross[layer]
    let heads = architecture.attention.keyValueHeadCount
    normalise(cross.norm, &worker)
    multiply(
      Product(cross.query, into: scratch.queries, stride: scratch.queryStride),
      by: scratch.normed, &worker)
    worker.phase(dividing: tokenCount * heads) { range in
      for item in range { scaleQueries(item / heads, item % heads, source.cache) }
    }
    attend(source, layer, &worker)
    quantize(scratch.attended, for: cross.output.weight, &worker)
    join(
      cross.output, of: scratch.attended, outputNorm: nil, sumNorm: cross.sumNorm, &worker)
  }

  /// attended[t] = softmax(query · keys) · values, over all positions of the source.
  ///
  /// All sequences of a step have the same source, so tiles need not keep to segments.
  private func attend(_ source: Source, _ layer: Int, _ worker: inout ThreadTeam.Worker) {
    let a = architecture.attention
    let heads = a.keyValueHeadCount
    let shared = a.headCount / heads
    let size = Int(EMBER_ATTENTION_PIECE)
    let pieces = (source.length + size - 1) / size
    func work(_ tokens: Range<Int>, _ head: Int) -> ember_attention {
      var work = queries(of: tokens, head, on: source.cache, layer: layer)
      work.sees_all = 1
      work.first_visible = source.length
      return work
    }
    if tokenCount > 1 || pieces == 1 {
      let tile = Activations.tokensPerTile
      worker.phase(pieces: (tokenCount + tile - 1) / tile * heads) { item in
        let (first, head) = (item / heads * tile, item % heads)
        let tokens = first..<min(first + tile, tokenCount)
        var work = work(tokens, head)
        attend(&work, 0..<pieces, source.cache)
        for i in 0..<tokens.count * shared {
          join(
            work.states + i * scratch.attentionStride, 1, token: first + i / shared,
            head: head * shared + i % shared, source.cache)
        }
      }
      return
    }
    worker.phase(pieces: pieces * heads) { item in
      let (piece, head) = (item / heads, item % heads)
      var work = work(0..<1, head)
      work.states = scratch.pieceStates(piece: piece, head: head * shared)
      attend(&work, piece..<piece + 1, source.cache)
    }
    worker.phase(dividing: a.headCount) { range in
      for head in range {
        join(scratch.pieceStates(piece: 0, head: head), pieces, token: 0, head: head, source.cache)
      }
    }
  }
}
