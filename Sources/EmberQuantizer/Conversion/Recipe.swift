public import SystemPackage

/// How much a conversion spends on each weight.
public enum Recipe: String, Sendable, CaseIterable {
  /// Each block on its own: a search for its scale, and outliers where they pay.
  case fast
  /// As fast, with errors weighted by how large each column's inputs are. Without a text they are
  /// measured on random tokens.
  case balanced
  /// Each weight's rounding error is made up for by the weights that are rounded after it (GPTQ).
  /// Needs a text, or statistics of one.
  case best
}

/// What conversion knows of the inputs that matrices are given.
public enum CalibrationSource: Sendable, Equatable {
  /// What the recipe takes by itself: random tokens, or nothing.
  case automatic
  /// A text that is like those the model will read.
  case text(String)
  /// Statistics that were saved before; those of several texts are added.
  case statistics([FilePath])
}
