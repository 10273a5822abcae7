import Foundation

/// A JSON value whose type is not known beforehand.
enum JSONValue: Decodable, Equatable, Sendable {
  case null
  case boolean(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .boolean(value)
    } else if let value = try? container.decode(String.self) {
      self = .string(value)
    } else if let value = try? container.decode(Int.self) {
      self = .integer(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode([String: JSONValue].self) {
      self = .object(value)
    } else {
      self = .array(try container.decode([JSONValue].self))
    }
  }

  /// Parses text that has to be an object; the error says in a few words what is wrong.
  static func object(_ text: [UInt8]) throws(JSONProblem) -> [String: JSONValue] {
    try decodeJSON([String: JSONValue].self, from: text)
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
  do throws(JSONGuard.Problem) {
    try JSONGuard.check(text)
  } catch {
    throw JSONProblem(text: error.description)
  }
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
