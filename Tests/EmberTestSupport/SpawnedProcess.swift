import Foundation

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// A program in a session of its own, with a terminal as a shell in a window has it (the keys that
/// send signals do), or with files.
package final class SpawnedProcess {
  /// Where input comes from and outputs go.
  package enum Streams {
    /// The path of the terminal that becomes all three, and the session's own.
    case terminal(String)
    /// Paths of a file to read, and of files that are made or emptied.
    case files(input: String, output: String, error: String)
  }

  package let identifier: pid_t
  private var ending: Int32?

  /// - Parameters:
  ///   - command: the program's path and its arguments.
  ///   - environment: all of it.
  package init(_ command: [String], _ streams: Streams, environment: [String: String]) throws {
    #if canImport(Darwin)
      var actions: posix_spawn_file_actions_t?
      var attributes: posix_spawnattr_t?
      let newSession: Int32 = POSIX_SPAWN_SETSID
    #else
      var actions = posix_spawn_file_actions_t()
      var attributes = posix_spawnattr_t()
      // Glibc's module does not have POSIX_SPAWN_SETSID.
      let newSession: Int32 = 0x80
    #endif
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    switch streams {
    case .terminal(let path):
      // The first terminal that a session's leader opens is the session's.
      posix_spawn_file_actions_addopen(&actions, 0, path, O_RDWR, 0)
      posix_spawn_file_actions_adddup2(&actions, 0, 1)
      posix_spawn_file_actions_adddup2(&actions, 0, 2)
    case .files(let input, let output, let error):
      let isNew = O_WRONLY | O_CREAT | O_TRUNC
      posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
      posix_spawn_file_actions_addopen(&actions, 1, output, isNew, 0o600)
      posix_spawn_file_actions_addopen(&actions, 2, error, isNew, 0o600)
    }
    // The threads of tests block signals and hand that down.
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(newSession | Int32(POSIX_SPAWN_SETSIGMASK)))

    var arguments = command.map { strdup($0) } + [nil]
    var variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for text in arguments + variables { free(text) } }
    var identifier: pid_t = 0
    let error = posix_spawn(
      &identifier, command[0], &actions, &attributes, &arguments, &variables)
    guard error == 0 else { throw POSIXError(POSIXErrorCode(rawValue: error) ?? .ENOEXEC) }
    self.identifier = identifier
  }

  deinit {
    guard isRunning else { return }
    kill(identifier, SIGKILL)
    var status: Int32 = 0
    waitpid(identifier, &status, 0)
  }

  package var isRunning: Bool { status == nil }

  /// How it ended, as shells say it: 128 and the signal's number for a signal; nil while it runs.
  package var status: Int32? { wait(WNOHANG) }

  /// Waits for the end. Returns the status.
  package func wait() -> Int32? { wait(0) }

  private func wait(_ options: Int32) -> Int32? {
    if let ending { return ending }
    var status: Int32 = 0
    var found: pid_t
    repeat { found = waitpid(identifier, &status, options) } while found < 0 && errno == EINTR
    guard found == identifier else { return nil }
    let signal = status & 0x7F
    ending = signal == 0 ? status >> 8 & 0xFF : 128 + signal
    return ending
  }
}
