extension Architecture.RotaryScaling {
  /// What each frequency of a rotary embedding is divided by, [dimensions / 2], in a session of the
  /// original context: the form in which files of other programs hold a scaling.
  package func divisors(base: Float, dimensions: Int) -> [Float] {
    let frequencies = RotaryFrequencies(
      base: Double(base), dimensions: dimensions, contextLength: 1)
    return zip(frequencies.scaled(by: nil).frequencies, frequencies.scaled(by: self).frequencies)
      .map { Float($0 / $1) }
  }
}
