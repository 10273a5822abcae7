extension SamplingOptions {
  /// - Throws: `GenerationError.invalidOption` for the first value that makes no sense.
  public func validate() throws(GenerationError) {
    // `contains` is false for NaN, so that it fails like any other value outside.
    if !(0...100).contains(temperature) {
      throw .invalidOption(
        name: "temperature", expected: "0 (greedy) to 100", found: "\(temperature)")
    }
    if topK < 0 {
      throw .invalidOption(name: "top-k", expected: "0 (off) or more", found: "\(topK)")
    }
    if !(topP > 0 && topP <= 1) {
      throw .invalidOption(
        name: "top-p", expected: "more than 0, at most 1 (off)", found: "\(topP)")
    }
    if !(0...1).contains(minP) {
      throw .invalidOption(name: "min-p", expected: "0 (off) to 1", found: "\(minP)")
    }
    if !(typicalP > 0 && typicalP <= 1) {
      throw .invalidOption(
        name: "typical-p", expected: "more than 0, at most 1 (off)", found: "\(typicalP)")
    }
    try mirostat?.validate()
    try validatePenalties()
    for bias in logitBias {
      if bias.id < 0 {
        throw .invalidOption(
          name: "logit-bias", expected: "a token id of 0 or more", found: "\(bias.id)")
      }
      if bias.value.isNaN || bias.value == .infinity {
        throw .invalidOption(
          name: "logit-bias", expected: "a number, or -inf to forbid the token",
          found: "\(bias.value)")
      }
    }
  }

  /// - Throws: `GenerationError.invalidOption` for a token that the model does not have.
  func validate(vocabularySize: Int) throws(GenerationError) {
    try validate()
    for bias in logitBias where bias.id >= vocabularySize {
      throw .invalidOption(
        name: "logit-bias", expected: "a token id of 0 to \(vocabularySize - 1)",
        found: "\(bias.id)")
    }
  }

  private func validatePenalties() throws(GenerationError) {
    if !(0.01...100).contains(repetitionPenalty) {
      throw .invalidOption(
        name: "repetition-penalty", expected: "0.01 to 100 (1 is off)",
        found: "\(repetitionPenalty)")
    }
    if repetitionWindow < 0 {
      throw .invalidOption(
        name: "repetition-window", expected: "0 (off) or more", found: "\(repetitionWindow)")
    }
    for (name, value) in [
      ("presence-penalty", presencePenalty), ("frequency-penalty", frequencyPenalty),
    ] where !(-100...100).contains(value) {
      throw .invalidOption(name: name, expected: "-100 to 100 (0 is off)", found: "\(value)")
    }
    if !(0...64).contains(noRepeatNGram) {
      throw .invalidOption(
        name: "no-repeat-ngram", expected: "0 (off) to 64", found: "\(noRepeatNGram)")
    }
  }
}
