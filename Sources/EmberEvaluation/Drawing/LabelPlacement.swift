import Foundation

/// Finds room for labels beside their points, so that none covers another.
package enum LabelPlacement {
  package struct Box: Sendable, Equatable {
    package var x, y, width, height: Double

    package init(x: Double, y: Double, width: Double, height: Double) {
      self.x = x
      self.y = y
      self.width = width
      self.height = height
    }

    package func intersects(_ other: Box) -> Bool {
      x < other.x + other.width && other.x < x + width && y < other.y + other.height
        && other.y < y + height
    }

    func contains(_ other: Box) -> Bool {
      other.x >= x && other.y >= y && other.x + other.width <= x + width
        && other.y + other.height <= y + height
    }
  }

  package struct Label: Sendable {
    let anchor: SVGDocument.Point
    let width, height: Double

    package init(anchor: SVGDocument.Point, width: Double, height: Double) {
      self.anchor = anchor
      self.width = width
      self.height = height
    }
  }

  /// The places of the labels, in their order; nil for those that there is no room for.
  ///
  /// Each label takes the nearest place that is free of earlier ones and of all `points`, and
  /// rather a place further away than one where it covers something of `obstacles` (bars, lines).
  /// Quadratic in the labels.
  package static func place(
    _ labels: [Label], clearOf points: [Box], avoiding obstacles: [Box], in area: Box
  ) -> [Box?] {
    var placed: [Box] = []
    return labels.map { label in
      var best: (box: Box, cost: Double)?
      for distance in [11.0, 17, 26, 40, 58, 80, 110, 150, 200, 260, 340, 440, 560] {
        if let best, best.cost <= distance { break }
        for turn in 0..<directions {
          let box = candidate(label, distance, turn)
          guard area.contains(box), !placed.contains(where: box.intersects),
            !points.contains(where: box.intersects)
          else { continue }
          let covered = obstacles.count { box.intersects($0) }
          let cost = distance + 12 * Double(min(covered, 20))
          if cost < best?.cost ?? .infinity { best = (box, cost) }
        }
      }
      if let best { placed.append(best.box) }
      return best?.box
    }
  }

  private static let directions = 24

  /// A box about `distance` from the anchor, in one of the directions, counted from the right.
  private static func candidate(_ label: Label, _ distance: Double, _ turn: Int) -> Box {
    let angle = 2 * .pi * Double(turn) / Double(directions)
    let (dx, dy) = (cos(angle), -sin(angle))
    return Box(
      x: label.anchor.x + distance * dx + (dx - 1) / 2 * label.width,
      y: label.anchor.y + distance * dy + (dy - 1) / 2 * label.height,
      width: label.width, height: label.height)
  }
}
