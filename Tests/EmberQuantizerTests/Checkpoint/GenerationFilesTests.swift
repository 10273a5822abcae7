import EmberQuantizer
import Foundation
import SystemPackage
import Testing

/// What stands beside `config.json`: chat templates and the ids that end a reply.
@Suite struct GenerationFilesTests {
  @Test func stopTokens() throws {
    let fixture = try CheckpointFixture()
    try fixture.writeLlama()
    #expect(try CheckpointReader.open(fixture.path).stopTokens == [2, 3])
    try fixture.write(#"{"eos_token_id": [7, 5, 7, 99, -1]}"#, to: "generation_config.json")
    #expect(try CheckpointReader.open(fixture.path).stopTokens == [5, 7])
    #expect(try CheckpointReader.open(fixture.path).endOfSequence == 2)
    try fixture.write(#"{"eos_token_id": 2}"#, to: "generation_config.json")
    #expect(try CheckpointReader.open(fixture.path).stopTokens == [])
    try fixture.write(String(repeating: "[", count: 100_000), to: "generation_config.json")
    #expect(openingError(fixture.path)?.category == .damaged)
  }

  @Test func chatTemplate() throws {
    let fixture = try CheckpointFixture()
    try fixture.writeLlama()
    #expect(try CheckpointReader.open(fixture.path).chatTemplate == nil)
    try fixture.write(
      #"{"chat_template": [{"name": "tool", "template": "a"}, {"name": "default", "template": "b"}]}"#,
      to: "tokenizer_config.json")
    #expect(try CheckpointReader.open(fixture.path).chatTemplate == "b")
    try fixture.write(#"{"chat_template": "{{ c }}"}"#, to: "tokenizer_config.json")
    #expect(try CheckpointReader.open(fixture.path).chatTemplate == "{{ c }}")
    try fixture.write("{{ d }}\n", to: "chat_template.jinja")
    #expect(try CheckpointReader.open(fixture.path).chatTemplate == "{{ d }}\n")
  }
}
