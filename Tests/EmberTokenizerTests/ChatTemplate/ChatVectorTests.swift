import EmberTokenizer
import Testing

/// Against transformers' rendering, character by character.
@Suite("Chat templates: vectors")
struct ChatVectorTests {
  @Test("Templates of real models")
  func models() throws {
    let vectors = try ChatVectors.load("vectors.json")
    #expect(Set(vectors.vectors.compactMap(\.template)).count >= 20)
    #expect(vectors.vectors.count { $0.refusal != nil } >= 20)
    for vector in vectors.vectors { check(vector, of: vectors) }
  }

  @Test("Jinja piece by piece")
  func language() throws {
    let vectors = try ChatVectors.load("language.json")
    #expect(vectors.vectors.count >= 500)
    for vector in vectors.vectors { check(vector, of: vectors) }
  }

  private func check(_ vector: ChatVectors.Vector, of vectors: ChatVectors) {
    do {
      let text = try vectors.render(vector)
      guard let expected = vector.output else {
        Issue.record("\(vector.name): expected an error, found \(text.debugDescription)")
        return
      }
      let isSame = text.unicodeScalars.elementsEqual(expected.unicodeScalars)
      #expect(
        isSame,
        "\(vector.name): expected \(expected.debugDescription), found \(text.debugDescription)")
    } catch ChatTemplateError.refused(let message) {
      #expect(message == vector.refusal, "\(vector.name)")
    } catch {
      let failsToo = vector.output == nil && vector.refusal == nil
      #expect(failsToo, "\(vector.name): \(error)")
    }
  }
}
