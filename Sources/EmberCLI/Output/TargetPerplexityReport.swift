import Ember
import EmberFormat

/// What `ember perplexity --pairs` says.
struct TargetPerplexityReport: Encodable {
  var file: String
  var fileBytes: Int
  var bitsPerWeight: Double
  var fileBitsPerWeight: Double
  var perplexity: Double
  var perplexityStandardError: Double
  var meanNegativeLogLikelihood: Double
  var tokensScored: Int
  var pairs: Int
  var sourceTokens: Int
  var bitsPerByte: Nullable<Double>
  var tokensPerSecond: Double
  var pairsFile: String
  var pairsBytes: Int
  var pairsSha256: String
  var cacheBits, cacheKeyBits, cacheValueBits: Int
  var peakMemoryBytes: Int

  init(
    _ model: Model, _ result: TargetPerplexity, _ input: PairFile, cachePrecision: CachePrecision
  ) {
    file = model.file.path.string
    fileBytes = model.file.fileBytes
    bitsPerWeight = model.bitsPerWeight
    fileBitsPerWeight = model.fileBitsPerWeight
    perplexity = result.perplexity
    perplexityStandardError = result.standardError
    meanNegativeLogLikelihood = result.meanNegativeLogLikelihood
    tokensScored = result.tokensScored
    pairs = result.pairs
    sourceTokens = result.sourceTokens
    bitsPerByte = Nullable(result.bitsPerByte)
    tokensPerSecond = result.tokensPerSecond
    pairsFile = input.name
    pairsBytes = input.byteCount
    pairsSha256 = input.sha256
    cacheBits = cachePrecision.bits
    cacheKeyBits = cachePrecision.keyBits
    cacheValueBits = cachePrecision.valueBits
    peakMemoryBytes = ProcessMemory.peak
  }

  var words: String {
    Listing.rendered([
      (
        "perplexity",
        "\(Format.fixed(perplexity, 4)) ± \(Format.fixed(perplexityStandardError, 4))"
          + " per token of the targets"
      ),
      (
        "bits per byte",
        bitsPerByte.value.map { "\(Format.fixed($0, 4)) of the targets" } ?? "unknown"
      ),
      (
        "model",
        OneLine.escape(file) + ", \(Format.bytes(fileBytes)),"
          + " \(Format.fixed(bitsPerWeight, 3)) bits per weight"
          + (cacheBits == 16
            ? "" : ", key/value cache of \(cacheKeyBits) and \(cacheValueBits) bits")
      ),
      (
        "pairs", EvaluatedText(name: pairsFile, bytes: pairsBytes, sha256: pairsSha256).words
      ),
      (
        "scored",
        "\(Format.grouped(tokensScored)) tokens of targets, from \(Format.grouped(sourceTokens))"
          + " of sources, in \(Format.grouped(pairs)) pairs"
      ),
      ("speed", "\(Format.fixed(tokensPerSecond, 1)) tokens/s"),
      ("peak memory", Format.bytes(peakMemoryBytes)),
    ])
  }
}
