/// What can be said of rules without following a text.
enum GrammarAnalysis {
  typealias Symbol = GrammarCompiler.Symbol

  /// The rules that have an alternative whose parts all are: terminals for which `holds`, or such
  /// rules. With true for all these are the rules that can end, with false those that can be empty.
  ///
  /// Complexity: O(symbols)
  static func rules(_ rules: [[[Symbol]]], where holds: (Symbol) -> Bool) -> [Bool] {
    var result = [Bool](repeating: false, count: rules.count)
    // Of each alternative, the rules that are missing still; of each rule, where it is missing.
    var missing: [(rule: Int, count: Int)] = []
    var users: [[Int]] = Array(repeating: [], count: rules.count)
    var found: [Int] = []
    for (index, alternatives) in rules.enumerated() {
      for alternative in alternatives {
        var count = 0
        var fails = false
        for symbol in alternative {
          if case .rule(let used) = symbol {
            count += 1
            users[used].append(missing.count)
          } else if !holds(symbol) {
            fails = true
          }
        }
        missing.append((index, fails ? .max : count))
        if !fails, count == 0, !result[index] {
          result[index] = true
          found.append(index)
        }
      }
    }
    while let rule = found.popLast() {
      for use in users[rule] where missing[use].count != .max {
        missing[use].count -= 1
        let user = missing[use].rule
        if missing[use].count == 0, !result[user] {
          result[user] = true
          found.append(user)
        }
      }
    }
    return result
  }

  /// A rule that begins with itself, with something behind it, before any character of the text: to
  /// follow it would never come to an end. nil if there is none.
  ///
  /// A rule that begins and ends with itself does no harm: nothing piles up behind it.
  static func leftRecursive(_ rules: [[[Symbol]]]) -> Int? {
    let empty = self.rules(rules) { _ in false }
    var edges: [[(target: Int, isTail: Bool)]] = Array(repeating: [], count: rules.count)
    for (index, alternatives) in rules.enumerated() {
      for alternative in alternatives {
        for (place, symbol) in alternative.enumerated() {
          guard case .rule(let target) = symbol else { break }
          edges[index].append((target, place == alternative.count - 1))
          if !empty[target] { break }
        }
      }
    }
    let components = components(edges)
    for index in rules.indices {
      for edge in edges[index]
      where !edge.isTail && components[edge.target] == components[index] { return index }
    }
    return nil
  }

  /// The strongly connected component of each node (Tarjan 1972), without recursion.
  private static func components(_ edges: [[(target: Int, isTail: Bool)]]) -> [Int] {
    var component = [Int](repeating: -1, count: edges.count)
    var order = [Int](repeating: -1, count: edges.count)
    var low = order
    var stack: [Int] = []
    var path: [(node: Int, edge: Int)] = []
    var (counter, componentCount) = (0, 0)
    for root in edges.indices where order[root] < 0 {
      path.append((root, 0))
      while let (node, edge) = path.last {
        if edge == 0 {
          (order[node], low[node]) = (counter, counter)
          counter += 1
          stack.append(node)
        } else {
          let target = edges[node][edge - 1].target
          if component[target] < 0 { low[node] = min(low[node], low[target]) }
        }
        if edge < edges[node].count {
          path[path.count - 1].edge += 1
          let target = edges[node][edge].target
          if order[target] < 0 { path.append((target, 0)) }
          continue
        }
        path.removeLast()
        guard low[node] == order[node] else { continue }
        while let member = stack.popLast() {
          component[member] = componentCount
          if member == node { break }
        }
        componentCount += 1
      }
    }
    return component
  }
}
