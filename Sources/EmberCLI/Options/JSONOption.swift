import ArgumentParser

/// Whether the result is for people or for programs.
struct JSONOption: ParsableArguments {
  @Flag(name: .long, help: "Print one JSON object instead of text; docs/json.md lists its keys.")
  var json = false
}
