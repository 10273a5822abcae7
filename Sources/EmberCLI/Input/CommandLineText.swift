/// The command line's bytes.
enum CommandLineText {
  /// Checks what Swift would repair silently: a repaired prompt or path is not what was asked for.
  ///
  /// - Throws: `CommandError.argumentNotUTF8`
  static func validate() throws {
    for index in 0..<Int(CommandLine.argc) {
      guard let argument = CommandLine.unsafeArgv[index] else { continue }
      var bytes: [UInt8] = []
      var next = UnsafePointer(argument)
      while next.pointee != 0 {
        bytes.append(UInt8(bitPattern: next.pointee))
        next += 1
      }
      if let offset = TextInput.invalidOffset(bytes) {
        throw CommandError.argumentNotUTF8(index: index, offset: offset, byte: bytes[offset])
      }
    }
  }
}
