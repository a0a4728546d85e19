package gazette

var stories = []story{
	{
		Name: "the-quiet-exit", Kicker: "Theatre", Title: "The quiet exit is back",
		Lead: "Three companies this season let their heroes leave without a speech. Audiences seem to prefer it.",
		Text: []string{
			"For two hundred years nobody left a stage in this city without saying so at length. This autumn they simply go. " +
				"In the new production at the Corn Exchange the king puts down his cup, looks at the door, and is not there any more.",
			"“We rehearsed the speech for a month,” says the director, Ines Farrow. “Then the actor was ill, and we ran the " +
				"scene without it. The room went so still that we cut all eleven lines.”",
			"Not everybody is convinced. The stage hands, who used to have a full minute to change the set, now have four " +
				"seconds, and have asked for a second door.",
		},
	},
	{
		Name: "doors", Kicker: "City", Title: "Every door in the old town hall now closes",
		Lead: "A report counted forty-one doors. Nineteen of them only looked shut.",
		Text: []string{
			"The town’s carpenter, Tomas Reed, tried each handle himself. “A door that looks shut and is not is worse than " +
				"an open one,” he wrote. “People stop checking it.”",
			"The work took six weeks. Each door now has a small brass plate with the date on which it was last tried, and " +
				"Mr Reed tries all of them again on the first Monday of the month.",
		},
	},
	{
		Name: "lanterns", Kicker: "River", Title: "The lantern keepers hand over their keys",
		Lead: "After ninety years the river lights need no keeper. The last two say that they will come anyway.",
		Text: []string{
			"Ruth and Edgar Vane have lit the lanterns between the two bridges since 1987. From this week a clock does it. " +
				"On Sunday evening they gave all fourteen keys back, and the harbour master signed for each of them.",
			"“Somebody once kept a key, out of fondness,” Mrs Vane says. “For years nobody could say who was able to open " +
				"lantern nine. So you give them all back, on one day, and somebody counts.”",
		},
	},
	{
		Name: "chess", Kicker: "Chess", Title: "How to resign well",
		Lead: "Our column on a skill that the books leave out.",
		Text: []string{
			"Resigning too early insults the game, and resigning too late insults the opponent. Between the two lies about " +
				"one move, and most players miss it.",
			"Stop the clock, say it aloud, and offer your hand. Do not tip the king over: it rolls, and the last thing that " +
				"anybody remembers of your game is that you were under the table.",
		},
	},
}
