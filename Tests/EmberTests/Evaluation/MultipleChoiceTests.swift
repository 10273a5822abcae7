import Ember
import EmberTestSupport
import Foundation
import Testing

struct MultipleChoiceTests {
  private struct Fixture: Decodable {
    struct Question: Decodable {
      let ctx: String?
      let query: String?
      let endings: [String]?
      let choices: [String]?
      let label: Int?
      let gold: Int?
      let logLikelihoods: [Double]
    }

    let questions: [Question]
  }

  private static func evaluator(_ model: Model) throws -> MultipleChoiceEvaluator {
    MultipleChoiceEvaluator(
      model: model, tokenizer: try Tokenizer(serialized: model.file.tokenizer), threads: 1)
  }

  @Test("log-likelihoods are those of transformers in fp32")
  func transformers() throws {
    // The bundled model is the reference data's novel-llama.
    let converted = try ConvertedModel.bundled(bits: 16)
    let url = URL(filePath: TestData.bundled("Tests/fixtures/scoring.json"))
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let fixture = try decoder.decode(Fixture.self, from: Data(contentsOf: url))
    let questions = try fixture.questions.map { question in
      try MultipleChoiceQuestion(
        context: question.ctx ?? question.query ?? "",
        choices: question.endings ?? question.choices ?? [],
        answer: question.label ?? question.gold ?? -1)
    }
    let result = try Self.evaluator(converted.model).evaluate(questions)
    for (answer, question) in zip(result.answers, fixture.questions) {
      #expect(answer.logLikelihoods.count == question.logLikelihoods.count)
      for (mine, other) in zip(answer.logLikelihoods, question.logLikelihoods) {
        #expect(abs(mine - other) < 2e-2, "\(question)")
      }
    }
    func share(_ chosen: (MultipleChoiceResult.Answer) -> Int) -> Double {
      Double(result.answers.count { chosen($0) == $0.right }) / Double(result.answers.count)
    }
    #expect(result.accuracy == share(\.chosen))
    #expect(result.normalizedAccuracy == share(\.chosenPerByte))
    // Short endings win by the sum and not by the byte.
    #expect(result.accuracy < result.normalizedAccuracy)
    let p = result.accuracy
    let n = Double(result.answers.count)
    #expect(abs(result.standardError - (p * (1 - p) / (n - 1)).squareRoot()) < 1e-12)
    #expect(result.truncatedChoices == 0)
  }

  @Test("sharing the context's positions changes nothing; neither do the order and the threads")
  func sharing() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.random(seed: 2), in: folder, type: .q8)
    let questions = try ["abc de", "abc de abc", "x"].map {
      try MultipleChoiceQuestion(context: $0, choices: ["ab", "abc e", "zz"], answer: 1)
    }
    let together = try Self.evaluator(model).evaluate(questions)
    for (index, question) in questions.enumerated() {
      let alone = try Self.evaluator(model).evaluate([question])
      #expect(alone.answers == [together.answers[index]])
      // By hand.
      let tokenizer = try Tokenizer(serialized: model.file.tokenizer)
      for (choice, found) in zip(question.choices, alone.answers[0].logLikelihoods) {
        let head = tokenizer.encode(question.context)
        let whole = tokenizer.encode(question.context + " " + choice)
        var sum = 0.0
        let session = try InferenceSession(model: model, threads: 1)
        try session.append(Array(whole.dropLast())) { place, logits in
          guard place + 1 >= head.count else { return }
          let total = logits.reduce(0.0) { $0 + exp(Double($1)) }
          sum += Double(logits[Int(whole[place + 1])]) - log(total)
        }
        #expect(abs(sum - found) < 1e-6)
      }
    }
  }

  @Test("a text longer than the context loses its beginning; an empty one gets a token before it")
  func edges() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.uniform, in: folder, contextLength: 16)
    let long = String(repeating: "z", count: 40)
    let result = try Self.evaluator(model).evaluate([
      try MultipleChoiceQuestion(context: long, choices: ["xx", "yyy"], answer: 0),
      try MultipleChoiceQuestion(context: "", choices: ["xx", "yyy"], answer: 0),
      try MultipleChoiceQuestion(context: "z ", choices: ["xx", "yyy"], answer: 0),
    ])
    #expect(result.truncatedChoices == 2)
    let each = -log(Double(TinyModel.vocabularySize))
    for answer in result.answers {
      // One token for the space, or for what the tokenizer puts before a text.
      #expect(abs(answer.logLikelihoods[0] - 3 * each) < 1e-6)
      #expect(abs(answer.logLikelihoods[1] - 4 * each) < 1e-6)
      #expect(answer.chosen == 0)
    }
    #expect(abs(result.chance - 0.5) < 1e-12)
    #expect(throws: EvaluationError.noQuestions) { try Self.evaluator(model).evaluate([]) }
  }

  @Test("lines of JSON, in all the names that there are")
  func lines() throws {
    let expected = try MultipleChoiceQuestion(context: "a", choices: ["b", "c"], answer: 1)
    for line in [
      #"{"ctx": "a", "endings": ["b", "c"], "label": 1}"#,
      #"{"query": "a", "choices": ["b", "c"], "gold": 1, "ind": 7}"#,
      #"{"context": "a", "endings": ["b", "c"], "label": "1", "split": "val"}"#,
    ] {
      #expect(try MultipleChoiceQuestion(jsonLine: line) == expected)
    }
    for line in [
      "", "[]", "{}", #"{"ctx": "a", "endings": ["b", "c"]}"#, #"{"ctx": 1}"#,
      #"{"ctx": "a", "endings": ["b"], "label": 0}"#,
      #"{"ctx": "a", "endings": ["b", ""], "label": 0}"#,
      #"{"ctx": "a", "endings": ["b", "c"], "label": 2}"#,
      #"{"ctx": "a", "endings": ["b", "c"], "label": "x"}"#,
    ] {
      #expect(throws: EvaluationError.self) { try MultipleChoiceQuestion(jsonLine: line) }
    }
  }

  @Test("word perplexity counts the words that begin in the scored tokens")
  func words() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.uniform, in: folder)
    let evaluator = PerplexityEvaluator(
      model: model, tokenizer: try Tokenizer(serialized: model.file.tokenizer), threads: 1)
    // " ", x, y, " ", "\n", z, " ", w: the first token is not scored.
    let result = try evaluator.evaluate(text: "xy \nz w", protocol: .papers(context: 64))
    #expect(result.tokensScored == 7 && result.wordsScored == 3)
    let expected = pow(Double(TinyModel.vocabularySize), 7.0 / 3)
    #expect(abs((result.wordPerplexity ?? 0) / expected - 1) < 1e-9)
    // Cut into windows, the same words are counted once each.
    let text = String(repeating: "xy zw v ", count: 20)
    var windows = PerplexityProtocol(context: 16, stride: 5)
    let strided = try evaluator.evaluate(text: text, protocol: windows)
    windows.maximumWindows = 1
    let one = try evaluator.evaluate(text: text, protocol: windows)
    #expect(one.wordsScored > 3)
    #expect(abs(strided.wordsScored - strided.tokensScored * 60 / 161) < 4)
  }
}
