import CKernels
import EmberKernels

/// What lies between the products of an attention block: positions, the cache, the softmax.
extension ForwardPass {
  /// Normalises, rotates and scales the queries of one token that share key/value head `head`,
  /// normalises and rotates the key, and stores key and value in the cache.
  func place(_ t: Int, _ head: Int, _ weights: Weights.Layer, _ layer: Int) {
    let a = architecture.attention
    let shared = a.headCount / a.keyValueHeadCount
    let key = scratch.keys + t * scratch.keyStride + head * a.headDimension
    let value = scratch.values + t * scratch.keyStride + head * a.headDimension
    let queries = scratch.queries + t * scratch.queryStride + head * shared * a.headDimension
    if let norm = weights.keyNorm { normalise(norm, key, count: a.headDimension, into: key) }
    if let norm = weights.queryNorm {
      for q in 0..<shared {
        let query = queries + q * a.headDimension
        normalise(norm, query, count: a.headDimension, into: query)
      }
    }
    if let (rotary, turn) = scratch.turn(t, isLocal: weights.isLocal) {
      rotary.rotate(key, by: turn, kernels: kernels)
      for q in 0..<shared {
        rotary.rotate(queries + q * a.headDimension, by: turn, kernels: kernels)
      }
    }
    let segment = scratch.segments.segment(ofToken: t)
    scaleQueries(t, head, segment.cache)
    segment.cache.store(
      layer: layer, head: head, position: segment.position(ofToken: t), key: key, value: value,
      kernels: kernels)
  }

  /// Scales the queries of one token that share key/value head `head`, and makes their codes, where
  /// the cache takes codes.
  func scaleQueries(_ t: Int, _ head: Int, _ cache: KeyValueCache) {
    let a = architecture.attention
    let shared = a.headCount / a.keyValueHeadCount
    let scale = a.scale ?? 1 / Float(a.headDimension).squareRoot()
    let queries = scratch.queries + t * scratch.queryStride + head * shared * a.headDimension
    for i in 0..<shared * a.headDimension { queries[i] *= scale }
    guard cache.precision.hasCodes else { return }
    for q in 0..<shared {
      let block = queryBlock(t, head: head * shared + q, cache)
      kernels.table.quantize_query(
        queries + q * a.headDimension, a.headDimension, scratch.queryCodes + 32 * block,
        scratch.queryScales + block, scratch.querySums + block)
    }
  }

  /// attended[t] = softmax(query · keys) · values, for all heads.
  ///
  /// The positions of a single token are shared out too: there may be fewer key/value heads than
  /// workers. The pieces belong to the definition of the result, so it does not depend on who
  /// computes them.
  func attend(_ weights: Weights.Layer, _ layer: Int, _ worker: inout ThreadTeam.Worker) {
    let heads = architecture.attention.keyValueHeadCount
    let segments = scratch.segments
    let window = weights.isLocal ? architecture.attention.window : nil
    let visible = pieces(from: segments[0].position, to: segments[0].position, window)
    let pieces = visible.count
    if tokenCount > 1 || pieces == 1 {
      worker.phase(pieces: segments.tileCount * heads) {
        attend(segments.tile($0 / heads), head: $0 % heads, layer, window)
      }
      return
    }
    let shared = architecture.attention.headCount / heads
    worker.phase(pieces: pieces * heads) { item in
      let (piece, head) = (item / heads, item % heads)
      var work = attention(layer, head, segments[0], tokens: 0..<1, window)
      work.states = scratch.pieceStates(piece: piece, head: head * shared)
      let first = visible.lowerBound + piece
      attend(&work, first..<first + 1, segments[0].cache)
    }
    worker.phase(dividing: architecture.attention.headCount) { range in
      for head in range {
        join(
          scratch.pieceStates(piece: 0, head: head), pieces, token: 0, head: head,
          segments[0].cache)
      }
    }
  }

  /// The pieces of the positions that tokens from `first` to `last` see.
  private func pieces(from first: Int, to last: Int, _ window: Int?) -> Range<Int> {
    let size = Int(EMBER_ATTENTION_PIECE)
    let start = window.map { max(0, first + 1 - $0) } ?? 0
    return start / size..<last / size + 1
  }

  /// Attention of one tile of tokens over one key/value head, into `scratch.attended`.
  private func attend(_ tile: StepSegments.Tile, head: Int, _ layer: Int, _ window: Int?) {
    let shared = architecture.attention.headCount / architecture.attention.keyValueHeadCount
    let segment = scratch.segments[tile.segment]
    var work = attention(layer, head, segment, tokens: tile.tokens, window)
    let first = segment.position(ofToken: tile.tokens.lowerBound)
    let last = segment.position(
      ofToken: (seesAll ? segment.tokens : tile.tokens).upperBound - 1)
    attend(&work, pieces(from: first, to: last, window), segment.cache)
    for (i, t) in tile.tokens.enumerated() {
      for q in 0..<shared {
        let state = work.states + (i * shared + q) * scratch.attentionStride
        join(state, 1, token: t, head: head * shared + q, segment.cache)
      }
    }
  }

  /// The queries of some tokens of a segment that share one key/value head, and what they look at.
  private func attention(
    _ layer: Int, _ head: Int, _ segment: StepSegment, tokens: Range<Int>, _ window: Int?
  ) -> ember_attention {
    var work = queries(of: tokens, head, on: segment.cache, layer: layer)
    let first = segment.position(ofToken: tokens.lowerBound)
    work.sees_all = seesAll ? 1 : 0
    work.first_visible = seesAll ? segment.tokens.count : first + 1
    work.first_position = first
    work.window = window ?? 0
    work.bias = scratch.bias(head: head * work.heads)
    work.bias_stride = scratch.biasStride
    return work
  }

  /// The queries of some tokens that share one key/value head, on that head of a cache.
  func queries(
    of tokens: Range<Int>, _ head: Int, on cache: KeyValueCache, layer: Int
  ) -> ember_attention {
    let shared = architecture.attention.headCount / architecture.attention.keyValueHeadCount
    let (first, column) = (tokens.lowerBound, head * shared)
    var work = cache.attention(layer: layer, head: head)
    work.tokens = tokens.count
    work.heads = shared
    work.soft_cap = architecture.attention.softCap ?? 0
    work.queries = UnsafePointer(
      scratch.queries + first * scratch.queryStride + column * work.dimension)
    work.query_stride = scratch.queryStride
    let block = queryBlock(first, head: column, cache)
    work.query_codes = UnsafePointer(scratch.queryCodes + 32 * block)
    work.query_scales = UnsafePointer(scratch.queryScales + block)
    work.query_sums = UnsafePointer(scratch.querySums + block)
    work.query_blocks = scratch.queryBlocks
    work.states = scratch.attentionStates(keyValueHead: head, token: first)
    work.scratch = scratch.attentionScratch(keyValueHead: head, token: first)
    return work
  }

  /// The first block of codes of one query; 0 where the cache holds halves.
  private func queryBlock(_ token: Int, head: Int, _ cache: KeyValueCache) -> Int {
    if cache.precision == .half { return 0 }
    return token * scratch.queryBlocks + head * KeyValueCache.blocks(cache.headDimension)
  }

  func attend(
    _ work: inout ember_attention, _ pieces: Range<Int>, _ cache: KeyValueCache
  ) {
    switch cache.precision {
    case .half: kernels.table.attend(&work, pieces.lowerBound, pieces.count)
    case .int8: kernels.table.attend_q8(&work, pieces.lowerBound, pieces.count)
    case .int8KeysInt4Values: kernels.table.attend_q8q4(&work, pieces.lowerBound, pieces.count)
    case .int4: kernels.table.attend_q4(&work, pieces.lowerBound, pieces.count)
    }
  }

  /// The output of one query head, from the states of its positions' pieces.
  func join(
    _ states: UnsafeMutablePointer<Float>, _ count: Int, token: Int, head: Int,
    _ cache: KeyValueCache
  ) {
    kernels.table.join_attention(
      states, count, scratch.pieceStride, cache.headDimension, cache.paddedDimension,
      scratch.attended.vector(token) + head * cache.headDimension)
  }
}
