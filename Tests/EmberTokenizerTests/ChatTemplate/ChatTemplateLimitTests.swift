import EmberTokenizer
import Foundation
import Testing

/// Templates that are made to harm: each an error, soon, and without much memory.
@Suite("Chat templates: limits")
struct ChatTemplateLimitTests {
  static let hostile: [String: String] = [
    "endless work":
      "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
    "a long text": "{{ 'a' * 100000000000 }}",
    "a longer text": "{% set x = 'aaaaaaaaaa' * 800000 %}{{ (x ~ x) | length }}",
    "doubling": "{% set ns = namespace(x='ab') %}{% for i in range(99) %}"
      + "{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "doubling lists": "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}"
      + "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "deep values": "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}"
      + "{% set ns.x = [ns.x] %}{% endfor %}",
    "deep dictionaries": "{% set ns = namespace(x={}) %}{% for i in range(99999) %}"
      + "{% set ns.x = {'a': ns.x} %}{% endfor %}",
    "a namespace in itself":
      "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns.x }}",
    "endless recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a long range": "{{ range(100001) | length }}",
    "ranges at the ends": "{{ range(0, -9223372036854775807 - 1, -1) }}",
    "a sum that overflows": "{{ 9223372036854775807 + 1 }}",
    "a product that overflows": "{{ 9223372036854775807 * 2 }}",
    "a power that overflows": "{{ 10 ** 99 }}",
    "a quotient that overflows": "{{ (-9223372036854775807 - 1) // -1 }}",
    "a negation that overflows": "{{ -(-9223372036854775807 - 1) }}",
    "an absolute value that overflows": "{{ (-9223372036854775807 - 1) | abs }}",
    "a float that is no integer": "{{ 1e300 | int }}",
    "a huge exponent": "{{ 2.0 ** -9223372036854775807 }}",
    "a huge literal": "{{ 99999999999999999999 }}",
    "replacing with much": "{{ ('a' * 100000) | replace('a', 'b' * 100000) }}",
    "joining with much": "{{ range(99999) | join('a' * 99999) }}",
    "indenting by much": "{{ 'a' | indent(1000000000) }}",
    "formatting much": "{{ ('{0}' * 100000).format('a' * 100000) }}",
    "parentheses": String(repeating: "{{ (", count: 1) + String(repeating: "(", count: 100_000),
    "lists": "{{ " + String(repeating: "[", count: 100_000),
    "signs": "{{ " + String(repeating: "-", count: 100_000) + "1 }}",
    "attributes": "{{ a" + String(repeating: ".b", count: 100_000) + " }}",
    "filters": "{{ 'a'" + String(repeating: "|trim", count: 100_000) + " }}",
    "blocks": String(repeating: "{% if 1 %}", count: 100_000),
    "else": "{{ 1" + String(repeating: " if 0 else 1", count: 100_000) + " }}",
    "targets": "{% set " + String(repeating: "(", count: 100_000) + "a = 1 %}",
    "an endless tag": "{{ " + String(repeating: "a ", count: 100_000),
    "no text": String(repeating: "a", count: 2 << 20),
  ]

  @Test("end as errors", arguments: hostile.keys.sorted())
  func refused(_ name: String) throws {
    let source = try #require(Self.hostile[name])
    #expect(throws: ChatTemplateError.self) {
      try ChatTemplate(source).render(json: #"{"messages": []}"#)
    }
  }

  @Test("long but flat templates and long conversations are not refused")
  func longButFlat() throws {
    let sum = "{{ 1" + String(repeating: " + 1", count: 10_000) + " }}"
    #expect(try ChatTemplate(sum).render(json: "{}").string == "10001")
    let not = "{{ " + String(repeating: "not ", count: 1000) + "1 }}"
    #expect(try ChatTemplate(not).render(json: "{}").string == "True")
    let branches =
      "{% if 0 %}" + String(repeating: "{% elif 0 %}", count: 10_000) + "{% else %}a{% endif %}"
    #expect(try ChatTemplate(branches).render(json: "{}").string == "a")
    let template = try ChatTemplate(try ChatVectors.template("qwen3"))
    let messages = (0..<1001).map {
      ChatMessage(
        role: $0 % 2 == 0 ? "user" : "assistant", content: String(repeating: "word ", count: 400))
    }
    let text = try template.render(messages, beginOfSequence: "", endOfSequence: "").string
    #expect(text.utf8.count > 2_000_000)
  }

  @Test("on a thread with little stack, too")
  func smallStack() async throws {
    let deep = [
      "{% macro m(n) %}{% for a in [1] %}{% if n %}{{ (m(n - 1)) }}{% endif %}{% endfor %}"
        + "{% endmacro %}{{ m(1000) }}",
      "{{ " + String(repeating: "[(1 or [not -f(", count: 100_000),
      "{{ " + String(repeating: "(", count: 30) + "1" + String(repeating: ")", count: 30) + " }}",
    ]
    for source in deep {
      let text = await withCheckedContinuation { continuation in
        let thread = Thread {
          continuation.resume(returning: try? ChatTemplate(source).render(json: "{}").string)
        }
        thread.stackSize = 512 << 10
        thread.start()
      }
      #expect(text == nil || text == "1")
    }
  }

  @Test("An error says the line and what is wrong, on one line")
  func messages() throws {
    func message(_ source: String) -> String {
      do {
        return try ChatTemplate(source).render(json: "{}").string
      } catch {
        return "\(error)"
      }
    }
    #expect(message("a\n\n{{ x.y }}").contains("line 3: 'x' is undefined"))
    #expect(
      message("{% if true %}\n{{ 1 | nonsense }}{% endif %}").contains(
        "line 2: the filter nonsense"))
    #expect(message("{% include 'x' %}").contains("line 1: the tag include"))
    #expect(message("{{ 1 +\n\n* }}").contains("line 3: expected an expression, found *"))
    #expect(
      message("{{ raise_exception('a\\nb') }}").hasSuffix(#"refuses this conversation: a\nb"#))
    #expect(message("{{ [].append(1) }}").contains("append would change a list"))
  }
}
