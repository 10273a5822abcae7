import EmberTokenizer
import Foundation

/// A JSON value whose type is not known beforehand.
enum JSONValue: Equatable, Sendable {
  case null
  case boolean(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  /// Parses text that has to be an object; the error says in a few words what is wrong.
  ///
  /// Not by `Decodable`: that tries one type after the other for each element, and a file of a
  /// million elements would take seconds.
  static func object(_ text: [UInt8]) throws(JSONProblem) -> [String: JSONValue] {
    try JSONGuard.checkObject(text)
    do throws(TokenizerError) {
      guard case .object(let values) = JSONValue(try JSONParser.parse(text, path: "")) else {
        return [:]
      }
      return values
    } catch {
      guard case .invalidJSON(_, let offset, let reason) = error else {
        throw JSONProblem(text: "\(error)")
      }
      throw JSONProblem(text: "byte \(offset): \(reason)")
    }
  }

  private init(_ value: EmberTokenizer.JSONValue) {
    switch value {
    case .null: self = .null
    case .bool(let value): self = .boolean(value)
    case .integer(let value): self = .integer(value)
    case .number(let value): self = .number(value)
    case .string(let value): self = .string(value)
    case .array(let elements): self = .array(elements.map(JSONValue.init))
    case .object(let members):
      // The keys differ: that has been looked at.
      self = .object(
        Dictionary(members.map { ($0.key, JSONValue($0.value)) }, uniquingKeysWith: { $1 }))
    }
  }
}

extension JSONValue: CustomStringConvertible {
  /// The value as an error message shows it.
  var description: String {
    switch self {
    case .null: "null"
    case .boolean(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .string(let value): "\"\(value)\""
    case .array(let values): "an array of \(values.count)"
    case .object(let values): "an object with \(values.count) keys"
    }
  }
}

/// What is wrong with JSON text, in a few words.
struct JSONProblem: Error, Equatable {
  let text: String
}

/// Parses JSON from strangers: an object, of bounded depth, without repeated keys.
func decodeJSON<Value: Decodable>(
  _ type: Value.Type, from text: [UInt8]
) throws(JSONProblem) -> Value {
  try JSONGuard.checkObject(text)
  do {
    return try JSONDecoder().decode(type, from: Data(text))
  } catch let error as DecodingError {
    throw JSONProblem(text: describe(error))
  } catch {
    throw JSONProblem(text: "not JSON")
  }
}

private func describe(_ error: DecodingError) -> String {
  func place(_ context: DecodingError.Context) -> String {
    let path = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }
    return path.isEmpty ? "" : "at \(path.joined(separator: " / ")): "
  }
  switch error {
  case .typeMismatch(_, let context): return place(context) + context.debugDescription
  case .valueNotFound(_, let context): return place(context) + context.debugDescription
  case .keyNotFound(let key, let context):
    return place(context) + "the key '\(key.stringValue)' is missing"
  case .dataCorrupted(let context):
    let reason = (context.underlyingError as? NSError)?.userInfo[NSDebugDescriptionErrorKey]
    return place(context) + ((reason as? String) ?? context.debugDescription)
  @unknown default: return "not JSON of the expected form"
  }
}
