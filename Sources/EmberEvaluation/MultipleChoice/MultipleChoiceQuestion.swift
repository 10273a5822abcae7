import Foundation

/// The beginning of a text and the ends that it may have, one of them right.
public struct MultipleChoiceQuestion: Sendable, Equatable {
  public var context: String
  /// At least two.
  public var choices: [String]
  /// Index of the right one.
  public var answer: Int

  /// - Throws: `EvaluationError.invalidQuestion`
  public init(context: String, choices: [String], answer: Int) throws(EvaluationError) {
    if choices.count < 2 {
      throw .invalidQuestion("expected two choices or more, found \(choices.count)")
    }
    if !choices.indices.contains(answer) {
      throw .invalidQuestion("expected a label of 0 to \(choices.count - 1), found \(answer)")
    }
    if choices.contains("") { throw .invalidQuestion("expected a text, found an empty choice") }
    self.context = context
    self.choices = choices
    self.answer = answer
  }

  /// A line of HellaSwag's kind: `{"ctx": …, "endings": […], "label": 0}`. The context may be called
  /// `query` or `context`, the endings `choices`, and the label `gold`, which may be a text with a
  /// number; other keys are left alone.
  ///
  /// - Throws: `EvaluationError.invalidQuestion`
  public init(jsonLine line: String) throws(EvaluationError) {
    let parsed: Line
    do {
      parsed = try JSONDecoder().decode(Line.self, from: Data(line.utf8))
    } catch {
      throw .invalidQuestion("found no such object, or a value of another type")
    }
    guard let context = parsed.ctx ?? parsed.query ?? parsed.context else {
      throw .invalidQuestion("found no ctx")
    }
    guard let choices = parsed.endings ?? parsed.choices else {
      throw .invalidQuestion("found no endings")
    }
    guard let answer = parsed.label ?? parsed.gold else {
      throw .invalidQuestion("found no label")
    }
    try self.init(context: context, choices: choices, answer: answer.value)
  }

  private struct Line: Decodable {
    let ctx: String?
    let query: String?
    let context: String?
    let endings: [String]?
    let choices: [String]?
    let label: Index?
    let gold: Index?
  }

  /// HellaSwag's own labels are texts in some versions.
  private struct Index: Decodable {
    let value: Int

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let number = try? container.decode(Int.self) {
        value = number
      } else if let number = Int(try container.decode(String.self)) {
        value = number
      } else {
        throw DecodingError.dataCorruptedError(
          in: container, debugDescription: "expected a whole number")
      }
    }
  }
}
