import EmberKernels
import Foundation
import Testing

// In a process of its own, because it looks at the memory of all threads.
#if os(Linux) && compiler(>=6.2)
  @Suite("The memory of thread teams")
  struct ThreadTeamMemoryTests {
    @Test("teams that come and go leave nothing behind")
    func teams() async {
      await #expect(processExitsWith: .success) {
        // 256 kB each: 768 MB if all of them stayed.
        func makeTeams(_ count: Int) {
          for i in 0..<count {
            let team = ThreadTeam(threadCount: 3, phaseCapacity: 4000)
            // Some end without a step, some while workers are still on their way.
            if i % 3 > 0 { team.step { worker in worker.phase(pieces: i % 3) { _ in } } }
          }
        }
        makeTeams(200)
        let bound = try addressSpaceBytes() + 256_000_000
        makeTeams(3000)
        // Dispatch lets go of a cancelled source in its own time.
        for _ in 0..<300 {
          if try addressSpaceBytes() <= bound { break }
          try await Task.sleep(for: .milliseconds(100))
        }
        #expect(try addressSpaceBytes() <= bound)
      }
    }
  }

  /// Bytes that are mapped in this process. Those of a buffer count even if it was never written.
  private func addressSpaceBytes() throws -> Int {
    let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
    let pages = try #require(text.split(separator: " ").first.flatMap { Int($0) })
    return pages * 4096
  }
#endif
